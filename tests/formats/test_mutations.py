"""Files with random damage: read, or refused with an error that names the file; never a crash."""

from __future__ import annotations

import random

import pytest

from smallobj.formats import FORMATS, Source, Target, read_boxes, write_boxes

PIECES = (b"null", b"-1", b"1e999", b"\xff", b'"', b"{", b"[", b"NaN", b"\0", b"<a>", b"9" * 400)
PIECES += (b"true", b",", b"\n", b" ", b"&amp;", b"..", b"/")


def damaged(content: bytes, source: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(source.randint(1, 3)):
        place = source.randrange(len(data) + 1)
        kind = source.randrange(4)
        if kind == 0:
            del data[place : place + source.randint(1, 20)]
        elif kind == 1:
            data[place:place] = source.choice(PIECES)
        elif kind == 2 and source.random() < 0.3:
            del data[place:]
        elif data:
            data[place % len(data)] = source.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("name", sorted(name for name, form in FORMATS.items() if form.write))
def test_damage_is_told(name, tmp_path, photographs):
    coco, images = str(tmp_path / "coco.json"), str(photographs.folder)
    write_boxes("coco", photographs.boxes(0), Target(coco))
    out = tmp_path / "out"
    write_boxes(name, photographs.boxes(0, scored=name != "coco"), Target(str(out), images, coco))
    files = [out] if out.is_file() else sorted(path for path in out.rglob("*") if path.is_file())
    source = random.Random(1)
    coco_images = coco if name == "coco-results" else ""
    refused = []
    for _ in range(120):
        path = source.choice(files)
        content = path.read_bytes()
        path.write_bytes(damaged(content, source))
        try:
            read_boxes(name, Source(str(out), images, "", coco_images))
        except ValueError as error:
            refused.append(str(error))
        path.write_bytes(content)
    assert len(refused) > 30
    assert all(str(tmp_path) in message for message in refused)
    read_boxes(name, Source(str(out), images, "", coco_images))
