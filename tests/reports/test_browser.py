"""The page in headless Chromium: opened, filtered, zoomed, by keyboard, in narrow and dark windows.

Needs the package playwright and an installed Chromium, on the path or at SMALLOBJ_CHROMIUM.
Screenshots are written to the folder SMALLOBJ_SCREENSHOTS, if that is set.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from smallobj.evaluation.reading.tables import EvaluationSet
from smallobj.reports.build import ReportOptions, build_report
from smallobj.reports.page import write_page
from smallobj.results.class_colors import PALETTE

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("SMALLOBJ_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")
HOSTILE = "nut</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        # A small /dev/shm makes tabs crash when the machine is busy.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page_file(sample_set, tmp_path_factory):
    names = [HOSTILE, *sample_set.class_names[1:]]
    data = EvaluationSet(**{**vars(sample_set), "class_names": names})
    folder = tmp_path_factory.mktemp("report")
    (folder / "metrics.json").write_text(
        "".join(f'{{"iteration": {i}, "total_loss": {9 / (i + 1)}}}\n' for i in range(0, 200, 20))
    )
    report = build_report(
        data, ReportOptions(title="Samples"), intervals={"AP50": (0.2, 0.6)}, training=folder
    )
    path = folder / "report.html"
    write_page(report, path)
    return path


class Opened:
    """A tab, with its requests and errors."""

    def __init__(self, browser, path, **window):
        self.context = browser.new_context(**window)
        self.tab = self.context.new_page()
        self.requests, self.errors = [], []
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", lambda message: self.errors.append(message.text))
        self.context.route(re.compile("^(?!file:|data:)"), lambda route: route.abort())
        self.tab.goto(path.as_uri())

    def shot(self, name):
        folder = os.environ.get("SMALLOBJ_SCREENSHOTS")
        if folder:
            self.tab.screenshot(path=str(Path(folder, f"{name}.png")))

    def status(self):
        return self.tab.inner_text("#viewer-status")

    def shown_boxes(self):
        return self.tab.evaluate("viewer.visible().map((box) => box.sort + box.kind)")

    def view(self):
        return self.tab.evaluate("[viewer.state.x, viewer.state.y, viewer.state.scale]")


@pytest.fixture
def opened(browser, page_file):
    session = Opened(browser, page_file, viewport={"width": 1280, "height": 900})
    yield session
    assert session.errors == []
    # It requests only the page itself and the images in it.
    assert [url for url in session.requests if not url.startswith("data:")] == [page_file.as_uri()]
    session.context.close()


def test_sections_in_order(opened):
    titles = opened.tab.locator("main section h2").all_inner_texts()
    assert titles == [
        "Headline", "Precision and recall", "By size", "By class", "Confusion", "Errors",
        "Misses against false positives", "Calibration", "Training", "Misses", "False positives",
        "Images",
    ]  # fmt: skip
    row = opened.tab.locator("main table tr", has_text="AP50").first.inner_text()
    assert "20.0 to 60.0" in row
    assert opened.tab.locator("main .chart svg path.series").count() >= 4
    opened.shot("wide")


def test_hostile_class_names_are_text(opened):
    assert opened.tab.locator("img[src=x]").count() == 0
    assert HOSTILE in opened.tab.locator("#classes").evaluate("(e) => e.textContent")


def test_gallery_links_to_the_image_and_back(opened):
    tab = opened.tab
    card = tab.locator(".gallery a").first
    card.scroll_into_view_if_needed()
    tab.wait_for_selector(".gallery .crop img")
    tab.wait_for_function("document.querySelector('.crop img').complete")
    assert tab.evaluate("document.querySelector('.crop img').naturalWidth") >= 112
    opened.shot("gallery")
    card.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("dialog[open]")
    assert tab.evaluate("document.activeElement.id") == "view"
    tab.wait_for_function("viewer.state.picture && viewer.state.crops.length")
    opened.shot("viewer")
    marked = tab.evaluate("viewer.state.marked")
    assert f"box={marked}" in tab.url
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0
    # The close event comes a little after the key.
    tab.wait_for_function("!location.hash && document.activeElement.tagName === 'A'")
    assert "box=" in tab.evaluate("document.activeElement.hash")


def test_galleries_are_filtered_by_type(opened):
    wrong = opened.tab.get_by_label("False positives: type")
    cards = opened.tab.locator("section", has=wrong).locator(".gallery a")
    every = cards.count()
    wrong.select_option(label="background")
    texts = cards.all_inner_texts()
    assert texts
    assert len(texts) < every
    assert all("background" in text for text in texts)


def test_boxes_are_switched_by_score_type_and_class(opened):
    tab = opened.tab
    tab.evaluate("location.hash = 'photo=0'")
    tab.wait_for_selector("dialog[open]")
    tab.locator("#score").fill("0")
    every = opened.shown_boxes()
    assert len(every) == tab.evaluate("boxesOf(0).length")
    tab.locator("#score").fill("1")
    assert all(kind.startswith("label") for kind in opened.shown_boxes())
    tab.locator("#score").fill("0")
    tab.get_by_label("detection: background").uncheck()
    without = opened.shown_boxes()
    assert len(without) == len([kind for kind in every if kind != "detection5"]) < len(every)
    assert f"{len(without)} of {len(every)} boxes shown" in opened.status()
    tab.get_by_text("Classes", exact=True).click()
    tab.get_by_role("button", name="None", exact=True).click()
    assert opened.shown_boxes() == []
    tab.get_by_role("button", name="All", exact=True).click()
    assert opened.shown_boxes() == without


def test_boxes_take_the_colours_of_classes_on_request(opened):
    tab = opened.tab
    tab.evaluate("location.hash = 'photo=0'")
    tab.wait_for_selector("dialog[open]")
    tab.evaluate("document.getElementById('classes-box').open = true")
    tab.locator("#score").fill("0")
    red, green, blue = bytes.fromhex(PALETTE[tab.evaluate("boxesOf(0)[0].class")][1:])
    pixels = """(wanted) => {
      const view = document.getElementById("view");
      const copy = new OffscreenCanvas(view.width, view.height);
      const brush = copy.getContext("2d", { willReadFrequently: true });
      brush.drawImage(view, 0, 0);
      const { data } = brush.getImageData(0, 0, view.width, view.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) count += wanted.every((v, k) => v === data[i + k]);
      return count;
    }"""
    assert tab.evaluate(pixels, [red, green, blue]) == 0
    tab.get_by_label("Colour by class").check()
    tab.wait_for_function(f"({pixels})([{red}, {green}, {blue}]) > 0")
    opened.shot("by_class")
    chips = tab.locator("#classes .chip")
    assert chips.count() == tab.evaluate("report.classes.length")


def test_keyboard_in_the_view(opened):
    tab = opened.tab
    tab.evaluate("location.hash = 'photo=0'")
    tab.wait_for_selector("dialog[open]")
    x, y, scale = opened.view()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    moved = opened.view()
    assert moved[0] > x
    assert moved[1] > y
    tab.keyboard.press("+")
    assert opened.view()[2] == pytest.approx(1.5 * scale)
    tab.keyboard.press("1")
    assert opened.view()[2] == pytest.approx(1)
    tab.keyboard.press("0")
    assert opened.view() == pytest.approx([x, y, scale])
    tab.keyboard.press("n")
    first = tab.evaluate("viewer.state.marked")
    tab.keyboard.press("n")
    assert tab.evaluate("viewer.state.marked") != first
    tab.keyboard.press("p")
    assert tab.evaluate("viewer.state.marked") == first
    tab.keyboard.press(".")
    tab.wait_for_function("viewer.state.image === 1")
    # Tab keeps the focus inside the dialog.
    for _ in range(6):
        tab.keyboard.press("Tab")
        outside = "!document.activeElement.closest('dialog') && document.activeElement.tagName"
        assert tab.evaluate(outside) in (False, "BODY")
    tab.locator("[data-do=close]").focus()
    tab.keyboard.press("Enter")
    assert tab.locator("dialog[open]").count() == 0


def test_wheel_zooms_where_the_pointer_is(opened):
    tab = opened.tab
    tab.evaluate("location.hash = 'photo=0'")
    tab.wait_for_selector("dialog[open]")
    canvas = tab.locator("#view").bounding_box()
    tab.mouse.move(canvas["x"] + 100, canvas["y"] + 100)
    offset = [100 - canvas["width"] / 2, 100 - canvas["height"] / 2]

    def under_pointer():
        x, y, scale = opened.view()
        return [x + offset[0] / scale, y + offset[1] / scale]

    before, scale = under_pointer(), opened.view()[2]
    tab.mouse.wheel(0, -300)
    tab.wait_for_function(f"viewer.state.scale > {1.5 * scale}")
    assert under_pointer() == pytest.approx(before, abs=3)


def test_first_key_skips_to_the_results_and_heads_sort(opened):
    tab = opened.tab
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the results"
    width = "getComputedStyle(document.activeElement).outlineWidth"
    assert tab.evaluate(width) == "3px"
    table = tab.locator("section", has=tab.get_by_role("heading", name="By class")).locator("table")
    table.get_by_role("button", name="Objects").focus()
    tab.keyboard.press("Enter")
    counts = [int(text) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    assert table.locator("th[aria-sort=descending]").count() == 1


def test_charts_are_read_by_arrow_keys(opened):
    chart = opened.tab.locator(".chart").first
    chart.focus()
    for _ in range(20):
        opened.tab.keyboard.press("ArrowRight")
    text = opened.tab.locator(".readout").first.inner_text()
    assert re.match(r"all classes in one list, AP [\d.]+ %: [\d.]+ at [\d.]+ \(score ", text), text
    opened.shot("chart")


@pytest.mark.parametrize("width", [320, 700])
def test_narrow_windows_scroll_down_only(browser, page_file, width):
    session = Opened(browser, page_file, viewport={"width": width, "height": 700})
    assert session.tab.evaluate("document.documentElement.scrollWidth") <= width
    session.shot(f"narrow_{width}")
    session.tab.evaluate("location.hash = 'photo=0'")
    session.tab.wait_for_selector("dialog[open]")
    assert session.tab.locator("#view").bounding_box()["width"] > width * 0.7
    assert session.tab.locator("#view").bounding_box()["height"] > 150
    assert session.errors == []
    session.shot(f"narrow_{width}_viewer")
    session.context.close()


def test_text_has_contrast_in_both_modes(browser, page_file):
    for scheme in ("light", "dark"):
        session = Opened(
            browser, page_file, viewport={"width": 1280, "height": 900}, color_scheme=scheme
        )
        for name in ("ink", "faint", "link"):
            ratio = session.tab.evaluate(CONTRAST, f"--{name}")
            assert ratio >= 4.5, (scheme, name, ratio)
        session.shot(scheme)
        session.context.close()


# WCAG 2.2, relative luminance and contrast ratio.
CONTRAST = """(name) => {
  const style = getComputedStyle(document.documentElement);
  const light = (key) => {
    const parts = style.getPropertyValue(key).trim().slice(1).match(/../g);
    const [r, g, b] = parts.map((h) => parseInt(h, 16) / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light(name), light("--paper")].sort((p, q) => q - p);
  return (a + 0.05) / (b + 0.05);
}"""


def test_five_thousand_images_open_and_draw_little(browser, large_page):
    session = Opened(browser, large_page, viewport={"width": 1280, "height": 900})
    tab = session.tab
    assert "1 to 50 of 5,000" in tab.locator("section").last.inner_text()
    # What lies far below is not drawn before the window comes near.
    assert tab.evaluate("document.querySelectorAll('.crop svg').length") < 30
    assert tab.evaluate("document.querySelectorAll('*').length") < 12_000
    tab.locator("#find-photograph").fill("04321")
    assert "1 to 1 of 1" in tab.locator("section").last.inner_text()
    tab.locator("section").last.get_by_role("link").click()
    tab.wait_for_selector("dialog[open]")
    assert "This file does not contain the image" in session.status()
    assert session.errors == []
    assert session.requests == [large_page.as_uri()]
    session.context.close()
