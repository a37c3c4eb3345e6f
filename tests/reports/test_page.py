"""The page: its data, and that no text of the data can become markup."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from smallobj.reports.columns import pack
from smallobj.reports.page import render, write_page

HOSTILE = "</script><script>alert(1)</script><!--<script>&amp;\"'\u2028"


class Elements(HTMLParser):
    """Start tags and attributes in order, and the text of script elements."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.title = [], [], ""
        self._inside = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1][1] += data
        elif self._inside == "title":
            self.title += data


def report_data(page):
    return next(
        json.loads(text)
        for attrs, text in Elements(page).scripts
        if attrs.get("id") == "report-data"
    )


def test_smallest_report_needs_only_title_and_classes():
    page = render({"title": "Nothing", "classes": []})
    assert report_data(page) == {"title": "Nothing", "classes": []}


def test_hostile_names_stay_text():
    report = {"title": HOSTILE, "classes": [HOSTILE], "facts": [[HOSTILE, HOSTILE]]}
    plain, hostile = Elements(render({"title": "a", "classes": []})), Elements(render(report))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert hostile.title == HOSTILE
    assert report_data(render(report)) == report


def test_lone_surrogates_can_be_written(tmp_path):
    report = {"title": "a", "classes": ["\ud800"]}
    write_page(report, tmp_path / "deep" / "page.html")
    assert report_data((tmp_path / "deep" / "page.html").read_text("utf-8")) == report


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        render({"title": "a", "classes": [], "shown_score": float("nan")})


@pytest.mark.parametrize("uri", ["https://example.org/a.jpg", 'data:image/png;base64,"><b>'])
def test_photographs_must_be_data(uri):
    with pytest.raises(ValueError, match="photograph 3 must be an image's data URI"):
        render({"title": "a", "classes": [], "photographs": {"3": uri}})


def test_page_refers_to_no_other_file():
    page = render({"title": "a", "classes": []})
    for tag, attrs in Elements(page).tags:
        for name in ("src", "href", "action", "srcset"):
            assert attrs.get(name, "#").startswith(("#", "data:,")), (tag, attrs)
    assert "default-src 'none'" in page
    assert not re.search(r"@import|fetch\(|XMLHttpRequest|url\(", page)
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4"])
def test_columns_survive_the_round_trip(kind):
    values = np.array([[0, 1], [2, 200]])
    packed = pack(values, kind)
    assert packed["type"] == kind
    back = np.frombuffer(base64.b64decode(packed["data"]), f"<{kind}")
    np.testing.assert_array_equal(back, values.ravel())
