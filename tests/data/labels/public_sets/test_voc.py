"""Pascal VOC's XML, of VOC itself and of the tools that write it."""

from pathlib import Path

import PIL.Image
import pytest

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.public_sets.voc import read_voc
from smallobj.data.labels.spec import DatasetSpec

BOX = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>60</ymax></bndbox>"
OBJECT = f"<object><name>bolt</name><difficult>0</difficult>{BOX}</object>"


def image(root: Path, name: str, size=(100, 200)) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", size).save(path)


def xml(root: Path, name: str, *objects: str, head: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation>\n{head}\n" + "\n".join(objects) + "\n</annotation>")


def read(tmp_path, rules=(), labels="xml", images="photos", classes=""):
    if classes:
        (tmp_path / "classes.txt").write_text(classes)
    spec = DatasetSpec(
        "d",
        "voc",
        str(tmp_path / labels),
        str(tmp_path / images),
        str(tmp_path / "classes.txt") if classes else "",
    )
    return read_voc(spec, Policy.of(rules))


def read_one(tmp_path, *objects: str, head: str = "", rules=(), classes=""):
    image(tmp_path, "photos/a.png")
    xml(tmp_path, "xml/a.xml", *objects, head=head)
    return read(tmp_path, rules, classes=classes)


def boxes(reading):
    assert [str(problem) for problem in reading.problems] == []
    return [
        (reading.class_names[a["category_id"]], *(round(value, 6) for value in a["bbox"]))
        for record in reading.records
        for a in record["annotations"]
    ]


def changes(reading) -> dict[str, int]:
    return {rule.name: count for (rule, _), count in reading.changes.counts.items()}


GOOD = ("bolt", 10, 20, 30, 40)


def test_a_box_of_edges_counted_from_zero(tmp_path):
    reading = read_one(tmp_path, OBJECT, head="<filename>a.png</filename>")
    assert boxes(reading) == [GOOD]
    assert changes(reading) == {}
    (record,) = reading.records
    assert (record["height"], record["width"]) == (200, 100)


def test_classes_are_sorted_names_unless_a_file_lists_them(tmp_path):
    nut = OBJECT.replace("bolt", "hex nut").replace("<xmin>10", "<xmin> 10.5 ")
    reading = read_one(tmp_path, nut, OBJECT)
    assert reading.class_names == ["bolt", "hex nut"]
    assert boxes(reading) == [("hex nut", 10.5, 20, 29.5, 40), GOOD]
    reading = read_one(tmp_path, nut, OBJECT, classes="washer\nhex nut\nbolt")
    assert reading.class_names == ["washer", "hex nut", "bolt"]
    assert boxes(reading)[1] == GOOD
    (problem,) = read_one(tmp_path, nut, OBJECT, classes="bolt").problems
    assert (problem.entry, problem.value) == ("line 3", "'hex nut'; known are ['bolt']")


def test_difficult_objects_become_crowd_regions(tmp_path):
    difficult = OBJECT.replace("<difficult>0", "<difficult>1")
    reading = read_one(tmp_path, difficult)
    assert boxes(reading) == [GOOD]
    assert reading.records[0]["annotations"][0]["iscrowd"] == 1
    assert changes(reading) == {"object-difficult": 1}
    assert boxes(read_one(tmp_path, difficult, rules=["object-difficult=drop"])) == []


def test_voc_s_own_files_count_pixels_from_one(tmp_path):
    head = "<source><database>The VOC2007 Database</database></source>"
    reading = read_one(tmp_path, OBJECT, head=head)
    assert boxes(reading) == [("bolt", 9, 19, 31, 41)]
    assert changes(reading) == {"voc-one-based": 1}
    # A coordinate of 0 shows that another tool has copied the name.
    zero = OBJECT.replace("<xmin>10", "<xmin>0")
    assert boxes(read_one(tmp_path, zero, OBJECT, head=head)) == [("bolt", 0, 20, 40, 40), GOOD]
    chosen = read_one(tmp_path, OBJECT, rules=["voc-one-based=fix"])
    assert boxes(chosen) == [("bolt", 9, 19, 31, 41)]


def test_parts_are_passed_over_and_counted(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    reading = read_one(tmp_path, OBJECT.replace(BOX, part + part + BOX))
    assert boxes(reading) == [GOOD]
    assert changes(reading) == {"voc-part": 2}


def test_polygons_and_turned_boxes(tmp_path):
    points = "<polygon><x1>10</x1><y1>20</y1><x2>40</x2><y2>20</y2><x3>25</x3><y3>60</y3></polygon>"
    pts = "<polygon>" + "".join(
        f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((10, 20), (40, 20), (25, 60))
    )
    turned = "<robndbox><cx>25</cx><cy>40</cy><w>40</w><h>30</h>"
    turned += "<angle>1.5707963267948966</angle></robndbox>"
    reading = read_one(
        tmp_path,
        OBJECT.replace(BOX, points + BOX),
        OBJECT.replace(BOX, pts + "</polygon>").replace("bolt", "nut"),
        OBJECT.replace(BOX, turned).replace("bolt", "cap"),
    )
    assert boxes(reading) == [GOOD, ("nut", *GOOD[1:]), ("cap", *GOOD[1:])]
    assert changes(reading) == {"shape-enclosed": 2}  # the first has a box of its own
    segmentations = [a["segmentation"] for a in reading.records[0]["annotations"]]
    assert segmentations[:2] == [[[10, 20, 40, 20, 25, 60]]] * 2
    assert segmentations[2] == [pytest.approx([40, 20, 40, 60, 10, 60, 10, 20])]


@pytest.mark.parametrize(
    ("head", "name", "changed"),
    [
        ("", "photos/a.png", {}),
        ("<filename>a.jpg</filename>", "photos/a.png", {}),  # converted after labelling
        ("<filename>a</filename>", "photos/a.png", {}),
        (r"<filename>C:\x\a.png</filename><path>/home/x/a.png</path>", "photos/a.png", {}),
        ("<filename>b.png</filename>", "photos/a.png", {"voc-filename": 1}),
        ("<filename>other name.png</filename>", "photos/other name.png", {}),
        ("<filename>old/c.png</filename>", "photos/new/c.png", {"path-mapped": 1}),
    ],
)
def test_the_image_of_a_file(tmp_path, head, name, changed):
    image(tmp_path, name)
    xml(tmp_path, "xml/a.xml", OBJECT, head=head)
    reading = read(tmp_path)
    assert boxes(reading) == [GOOD]
    assert reading.records[0]["file_name"] == str(tmp_path / name)
    assert changes(reading) == changed


def test_names_with_points_and_files_in_subfolders(tmp_path):
    for folder in ("x", "y"):
        image(tmp_path, f"photos/{folder}/a.v1.png")
        xml(tmp_path, f"xml/{folder}/a.v1.xml", OBJECT, head="<filename>a.v1</filename>")
    reading = read(tmp_path)
    assert boxes(reading) == [GOOD, GOOD]
    assert changes(reading) == {}


def test_a_size_of_zero_says_nothing_and_another_one_is_said(tmp_path):
    size = "<size><width>0</width><height>0</height></size>"
    assert changes(read_one(tmp_path, OBJECT, head=size)) == {}
    size = "<size><width>90</width><height>200</height></size>"
    reading = read_one(tmp_path, OBJECT, head=size)
    assert boxes(reading) == [GOOD]
    assert changes(reading) == {"image-size": 1}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (OBJECT.replace(BOX, ""), "voc-object"),
        (OBJECT.replace("bolt", " "), "voc-object"),
        (OBJECT.replace("<ymax>60</ymax>", ""), "voc-object"),
        (OBJECT.replace("60", "6O"), "box-not-numbers"),
        (OBJECT.replace("40", "10"), "box-empty"),
        (OBJECT.replace("60", "inf"), "box-not-finite"),
    ],
)
def test_what_is_refused(tmp_path, text, rule):
    (problem,) = read_one(tmp_path, text).problems
    assert (problem.rule.name, problem.entry) == (rule, "line 3")


def test_files_that_are_something_else(tmp_path):
    image(tmp_path, "photos/a.png")
    xml(tmp_path, "xml/gone.xml", OBJECT)
    (tmp_path / "xml/b.xml").write_text("<annotations/>")
    (tmp_path / "xml/c.xml").write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>")
    (tmp_path / "xml/d.xml").write_text("<annotation>")
    problems = {Path(problem.file).name: str(problem) for problem in read(tmp_path).problems}
    assert "must have an image of its name" in problems["gone.xml"]
    assert "root element annotation" in problems["b.xml"]
    assert "DOCTYPE" in problems["c.xml"]
    assert "valid XML" in problems["d.xml"]


def test_an_image_without_a_file_is_said(tmp_path):
    image(tmp_path, "photos/b.png")
    reading = read_one(tmp_path, OBJECT)
    assert len(reading.records) == 2
    assert changes(reading) == {"image-without-labels": 1}
    assert len(read(tmp_path, ["image-without-labels=drop"]).records) == 1


def test_a_year_of_the_development_kit_and_the_list_of_a_split(tmp_path):
    year = tmp_path / "VOC2012"
    for name in ("2008_1", "2008_2", "2008_3"):
        image(year, f"JPEGImages/{name}.jpg")
        xml(year, f"Annotations/{name}.xml", OBJECT, head=f"<filename>{name}.jpg</filename>")
    image(year, "SegmentationClass/2008_1.png")
    lists = year / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2008_1\n2008_3\n\n")
    (lists / "bolt_val.txt").write_text("2008_2  1\n2008_3 -1\n2008_9  0\n")
    assert len(read(tmp_path, labels="VOC2012", images="VOC2012").records) == 3
    train = read(tmp_path, labels="VOC2012/ImageSets/Main/train.txt", images="VOC2012")
    assert [Path(record["file_name"]).stem for record in train.records] == ["2008_1", "2008_3"]
    assert boxes(train) == [GOOD, GOOD]
    val = read(tmp_path, labels="VOC2012/ImageSets/Main/bolt_val.txt", images="VOC2012")
    (problem,) = val.problems
    assert (problem.entry, problem.value) == ("line 3", "no 2008_9.xml")
