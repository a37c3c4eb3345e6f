"""The string that describes a dataset."""

import os

import pytest

from smallobj.data.datasets import DatasetSpec, datasets_root, parse_spec
from smallobj.data.labels.readers import READERS
from smallobj.data.labels.spec import LAYOUTS


@pytest.fixture(autouse=True)
def _root(monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))


def test_relative_paths_start_at_the_datasets_root(tmp_path):
    spec = parse_spec("bolts_train=coco:bolts/train.json:bolts/images")
    assert spec == DatasetSpec(
        "bolts_train", "coco", f"{tmp_path}/bolts/train.json", f"{tmp_path}/bolts/images"
    )


def test_absolute_paths_stay_and_a_spec_reads_back_as_itself():
    text = "a-b.c=yolo:/x/labels:/y/images:/z/data.yaml"
    spec = parse_spec(text)
    assert (spec.annotations, spec.images, spec.classes) == (
        "/x/labels",
        "/y/images",
        "/z/data.yaml",
    )
    assert str(spec) == text
    assert parse_spec(str(spec)) == spec


def test_annotations_may_be_empty_for_photographs_without_labels(tmp_path):
    spec = parse_spec("unlabelled=challenge::test_data")
    assert spec.annotations == ""
    assert spec.images == str(tmp_path / "test_data")


def test_default_root_is_the_datasets_folder(monkeypatch):
    monkeypatch.delenv("DETECTRON2_DATASETS")
    assert datasets_root() == os.path.abspath("datasets")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bolts", "NAME=FORMAT:ANNOTATIONS:IMAGES"),
        ("bolts=coco:train.json", "NAME=coco:ANNOTATIONS:IMAGES"),
        ("bolts=coco:a:b:c:d", "NAME=coco:ANNOTATIONS:IMAGES"),
        ("=coco:a:b", "name is made of letters"),
        ("my bolts=coco:a:b", "name is made of letters"),
        ("bolts=pascal:a:b", "unknown dataset format 'pascal'.*challenge, coco, yolo"),
        ("bolts=challenge:a:", "needs a folder of images"),
        ("bolts=coco::b", "needs an annotation file"),
        ("bolts=coco:a:b:c", "takes its classes from the annotation file"),
        ("bolts=yolo:a:b", "needs a fourth part"),
    ],
)
def test_malformed_specs_name_the_rule_and_the_text(text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_spec(text)
    assert repr(text) in str(error.value)


def test_a_spec_that_is_not_a_string_is_refused():
    with pytest.raises(ValueError, match="a dataset is a string"):
        parse_spec(["a"])


def test_a_path_with_colons_is_found_by_what_is_there(tmp_path):
    folder = tmp_path / "10:38:35"
    folder.mkdir()
    (folder / "l.json").touch()
    spec = parse_spec("bolts=coco:10:38:35/l.json:10:38:35")
    assert (spec.annotations, spec.images) == (str(folder / "l.json"), str(folder))


def test_a_path_from_the_working_directory_counts_where_the_usual_place_has_none(
    tmp_path, monkeypatch
):
    work = tmp_path / "work"
    (work / "images").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    (work / "l.json").touch()
    monkeypatch.chdir(work)
    spec = parse_spec("bolts=coco:l.json:images")
    assert (spec.annotations, spec.images) == (str(work / "l.json"), str(tmp_path / "images"))


def test_every_format_has_a_reader():
    assert not set(READERS) - set(LAYOUTS)
