"""No command writes over what it reads: it ends with a sentence, and all files stay as they are."""

from __future__ import annotations

import json
import shutil

import PIL.Image
import pytest

LABELS = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 60}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    ],
    "categories": [{"id": 1, "name": "nut"}],
}
COMMANDS = [
    "demo.py --input photos --json photos/a.jpg",
    "demo.py --input photos --csv photos/../photos/a.jpg",
    "demo.py --input photos --coco link.jpg",
    "demo.py --input photos --geojson photos/a.jpg",
    "demo.py --input photos --coco gt.json --coco-images gt.json",
    "demo.py --input photos --json config.yaml --config-file config.yaml",
    "demo.py --input photos --json new.json --csv new.json",
    "demo.py --input photos --csv new.csv --json new.csv.classes.json",
    "demo.py --video-input photos/a.jpg --json photos/a.jpg",
    "tools/detect.py --input photos --output run --json photos/a.jpg",
    "tools/detect.py --input list.txt --output run --csv list.txt",
    "tools/detect.py --input photos --output run --coco gt.json --coco-images gt.json",
    "tools/detect.py --input photos --output run --json new.json --coco new.json",
    "tools/report.py --gt gt.json --results res.json --output gt.json",
    "tools/report.py --gt gt.json --results res.json --output res.json",
    "tools/report.py --gt gt.json --results res.json --images photos --output photos/a.jpg",
    "tools/report.py --gt x=coco:gt.json:photos --results res.json --output photos/a.jpg",
    "tools/report.py --gt x=coco:gt.json:photos --results res.json --output gt.json",
    "tools/compare.py res.json other.json --gt gt.json --json other.json",
    "tools/compare.py res.json other.json --gt gt.json --json gt.json",
    "tools/convert.py --from coco --to coco --input gt.json --output gt.json --overwrite",
    "tools/convert.py --from coco-results --to csv --input res.json --coco-images gt.json "
    "--output gt.json --overwrite",
    "tools/convert.py --from labelme --to labelme --input folder --output folder --overwrite",
    "tools/convert.py --from labelme --to yolo --input folder --output folder --overwrite "
    "--classes folder/classes.txt",
    "tools/convert.py --from coco --to csv --input gt.json --images photos --output photos/a.jpg "
    "--overwrite",
    "tools/ensemble.py res.json other.json --gt gt.json --output gt.json",
    "tools/ensemble.py res.json other.json --output link.json",
    "tools/plan.py --config-file config.yaml --output config.yaml",
    "tools/plan.py --config-file config.yaml --output new.yaml --plot new.yaml",
    "tools/plan.py --config-file config.yaml --register x=coco:gt.json:photos --output gt.json",
    "tools/seams.py --dataset x --register x=coco:gt.json:photos --json gt.json",
    "tools/seams.py --dataset x --config-file config.yaml --plot config.yaml",
    "tools/export_weights.py --run . --weights model.pth --output config",
]


@pytest.fixture
def files(tmp_path, monkeypatch, repository):
    """What the commands read; and a command of the repository would find its configs."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "folder"):
        (tmp_path / folder).mkdir()
    PIL.Image.new("L", (80, 60)).save("photos/a.jpg")
    (tmp_path / "gt.json").write_text(json.dumps(LABELS))
    for name in ("res.json", "other.json"):
        (tmp_path / name).write_text("[]")
    (tmp_path / "link.json").symlink_to("res.json")
    (tmp_path / "link.jpg").symlink_to("photos/a.jpg")
    (tmp_path / "list.txt").write_text("photos/a.jpg\n")
    (tmp_path / "folder/classes.txt").write_text("nut\n")
    shutil.copy(repository / "configs/cascade_r18.yaml", "config.yaml")
    (tmp_path / "model.pth").write_bytes(b"")
    return tmp_path


def content(folder):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_that_is_read_is_replaced(command, files, load_script, monkeypatch, capsys):
    script, *words = command.split()
    monkeypatch.setattr("sys.argv", [script, *words])
    module = load_script(script)
    before = content(files)
    status = module.main(words) if hasattr(module, "main") else module.cli()
    assert status == 2
    told = capsys.readouterr().err
    assert "would replace the input" in told or "would write the same file twice" in told
    assert content(files) == before
