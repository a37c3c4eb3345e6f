"""Tables of other programs: their columns, forms of boxes, shares, sets and classes."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tables.csv_table import read_csv


class Table:
    def __init__(self, root: Path) -> None:
        self.path, self.images = root / "labels.csv", root / "images"
        self.images.mkdir()
        self.image("a.jpg")

    def image(self, name: str, width: int = 100, height: int = 80) -> None:
        (self.images / name).parent.mkdir(exist_ok=True)
        PIL.Image.new("L", (width, height)).save(self.images / name)

    def read(
        self,
        text: str | bytes,
        options: str = "",
        *rules: str,
        classes: str = "",
        images: bool = True,
    ) -> DatasetReading:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        folder = str(self.images) if images else ""
        place = f"{self.path}{options}"
        return read_csv(DatasetSpec("d", "csv", place, folder, classes), Policy.of(rules))


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def found(reading: DatasetReading) -> list[tuple[str, list[float]]]:
    """(class, x y w h rounded to a thousandth of a pixel) of all boxes."""
    assert reading.problems == []
    return [
        (reading.class_names[one["category_id"]], [round(value, 3) for value in one["bbox"]])
        for record in reading.records
        for one in record["annotations"]
    ]


def changes(reading: DatasetReading) -> dict[str, int]:
    return {rule.name: count for (rule, _), count in reading.changes.counts.items()}


def problem(reading: DatasetReading) -> str:
    (one,) = reading.problems
    return str(one)


BOLT = [("bolt", [20, 10, 40, 20])]


@pytest.mark.parametrize(
    "text",
    [
        # TensorFlow's object detection tutorials: width and height are the image's.
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,80,bolt,20,10,60,30\n",
        "XMax;YMin;Label;File;XMin;YMax\n60;10;bolt;a.jpg;20;30\n",
        "x_min\ty_min\tx_max\ty_max\tcategory name\timage path\n20\t10\t60\t30\tbolt\ta.jpg\n",
        "image,left,top,right,bottom,label\na.jpg,20,10,60,30,bolt\n",
        "image_name,x0,y0,x1,y1,label\na.jpg,20,10,60,30,bolt\n",
        "filename,x,y,width,height,class\na.jpg,20,10,40,20,bolt\n",
        "filename,x,y,w,h,class,width,height\na.jpg,20,10,40,20,bolt,100,80\n",
        "filename,x,y,width,height,class,image_width,image_height\na.jpg,20,10,40,20,bolt,100,80\n",
        "img,xcenter,ycenter,width,height,label\na.jpg,40,20,40,20,bolt\n",
        'image_id,width,height,bbox,class\na,100,80,"[20.0, 10.0, 40.0, 20.0]",bolt\n',
        "image_id,bbox,class\na.jpg,20 10 40 20,bolt\n",
        "file_name,annotations,class\n"
        "a.jpg,\"[{'x': 20, 'y': 10, 'width': 40, 'height': 20}]\",bolt\n",
        # keras-retinanet: no header.
        "a.jpg,20,10,60,30,bolt\n",
        # As spreadsheets write it.
        b"\xef\xbb\xbffilename;xmin;ymin;xmax;ymax;class\r\na.jpg;20,0;10,0;60;30;bolt\r\n",
        b"sep=;\r\nfilename;xmin;ymin;xmax;ymax;class\r\na.jpg;20;10;60;30;bolt;;\r\n\r\n",
        '"filename","xmin","ymin","xmax","ymax","class"\n"a.jpg","20","10","60","30","bolt"\n',
        # pandas' numbers of the rows.
        ",filename,xmin,ymin,xmax,ymax,class\n0,a.jpg,20,10,60,30,bolt\n",
    ],
)
def test_columns_are_recognized(table, text):
    reading = table.read(text)
    assert found(reading) == BOLT
    assert changes(reading).keys() - {"path-mapped"} == {"csv-columns"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            "?file=wo&class=was&x1=l&y1=o&x2=r&y2=u",
            "wo,was,l,o,r,u\na.jpg,bolt,20,10,60,30\n",
        ),
        ("?file=1&class=2&x1=3&y1=4&w=5&h=6&header=no", "a.jpg,bolt,20,10,40,20\n"),
        (
            "?class=art%20des%20teils",
            "file,xmin,ymin,xmax,ymax,Art des Teils\na.jpg,20,10,60,30,bolt\n",
        ),
        ("?box=xyxy", 'image_id,bbox,class\na,"[20, 10, 60, 30]",bolt\n'),
        ("?box=cxcywh&bbox=3", 'image_id,class,where\na,bolt,"40,20,40,20"\n'),
        ("?file=path", "path,filename,xmin,ymin,xmax,ymax,class\na.jpg,7,20,10,60,30,bolt\n"),
    ],
)
def test_columns_are_told(table, options, text):
    assert found(table.read(text, options)) == BOLT


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("path,filename,x1,y1,x2,y2,class\n", ["'path' or 'filename'", "?file=NAME"]),
        ("file,class,label,x1,y1,x2,y2\n", ["'class' or 'label'", "?class=NAME"]),
        ("what,class,x1,y1,x2,y2\n", ["no column names the image", "?file=NAME"]),
        ("file,class,x1,y1\n", ["no columns of a box", "?x1=NAME"]),
        ("a.jpg,bolt,20,10,60,30,7\n", ["no column names the image", "column"]),
        ("", ["no column names the image"]),
    ],
)
def test_unclear_columns_are_refused(table, text, parts):
    message = problem(table.read(text))
    for part in ("line 1", *parts):
        assert part in message


@pytest.mark.parametrize(
    "options", ["?files=a", "?box=yxyx", "?relative=maybe", "?x1=", "?delimiter=."]
)
def test_unknown_choices_are_refused(table, options):
    with pytest.raises(ValueError, match=r"labels\.csv\?"):
        table.read("", options)
    assert "there is no column 'left'" in problem(table.read("file,x2,y2,y1\n", "?x1=left"))


def test_the_own_columns_are_read_exactly(table):
    text = "file,class_id,class,score,x1,y1,x2,y2\na.jpg,3, bolt ,0.25,0.125,10,0.5,30\n"
    reading = table.read(text)
    assert found(reading) == [(" bolt ", [0.125, 10, 0.375, 20])]
    assert changes(reading) == {}


SHARES = "{}0.2,0.125,0.6,0.375{}\n"


@pytest.mark.parametrize(
    "text",
    [
        # Google's AutoML and Vertex AI.
        "TRAIN,gs://bucket/x/a.jpg,bolt,0.2,0.125,,,0.6,0.375,,\n",
        "gs://bucket/x/a.jpg,bolt,0.2,0.125,0.6,0.125,0.6,0.375,0.2,0.375\n",
        "filename,xmin,ymin,xmax,ymax,class\na.jpg,0.2,0.125,0.6,0.375,bolt\n",
        # Open Images.
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
        "a,xclick,bolt,1,0.2,0.6,0.125,0.375,0,0\n",
    ],
)
def test_shares_are_told_by_all_values(table, text):
    reading = table.read(text)
    assert found(reading) == BOLT
    assert changes(reading)["csv-shares"] == 1
    assert "score" not in reading.records[0]["annotations"][0]
    assert len(table.read(text, "", "csv-shares=error").problems) == 1


def test_shares_and_pixels_can_be_told(table):
    header = "filename,xmin,ymin,xmax,ymax,class\n"
    assert found(table.read(f"{header}a.jpg,0,0,1,1,bolt\n", "?relative=no")) == [
        ("bolt", [0, 0, 1, 1])
    ]
    assert found(table.read(f"{header}a.jpg,0,0,1,1,bolt\n", "?relative=yes")) == [
        ("bolt", [0, 0, 100, 80])
    ]
    mixed = f"{header}a.jpg,20,10,60,30,bolt\na.jpg,0.2,0.1,0.6,0.3,bolt\n"
    assert "?relative=yes or no" in problem(table.read(mixed))
    assert found(table.read(mixed, "", "csv-first-pixel=drop")) == BOLT
    assert len(found(table.read(mixed, "?relative=no"))) == 2


def test_shares_without_a_folder_need_told_sizes(table):
    header = "filename,xmin,ymin,xmax,ymax,class"
    reading = table.read(f"{header}\na.jpg,0.2,0.125,0.6,0.375,bolt\n", images=False)
    assert "must have a whole width and height" in problem(reading)
    text = f"{header},width,height\na.jpg,0.2,0.125,0.6,0.375,bolt,100,80\n"
    assert found(table.read(text, images=False)) == BOLT


def test_a_bbox_of_corners_is_refused_until_told(table):
    text = 'image_id,bbox,class\na,"[60, 50, 90, 70]",bolt\n'
    assert "?box=xywh or ?box=xyxy" in problem(table.read(text))
    assert found(table.read(text, "?box=xyxy")) == [("bolt", [60, 50, 30, 20])]
    # Boxes inside the image say nothing against the usual form.
    assert found(table.read('image_id,bbox,class\na,"[20, 10, 40, 20]",bolt\n')) == BOLT


@pytest.mark.parametrize(
    "row", ["a.jpg,,,,,", "b.jpg,,,,,\na.jpg,nan,NaN,nan,nan,", "a.jpg,,,,,\nb.jpg,,,,,"]
)
def test_images_without_objects(table, row):
    table.image("b.jpg")
    table.image("c.jpg")
    reading = table.read(f"{row}\n", "?file=1&x1=2&y1=3&x2=4&y2=5&class=6&header=no")
    assert found(reading) == []
    assert len(reading.records) == 3
    number = 3 - row.count("jpg")
    assert changes(reading) == {"csv-columns": 1, "image-without-labels": number}


def test_kaggles_table_without_classes(table):
    text = 'image_id,width,height,bbox,source\na,100,80,"[20, 10, 40, 20]",arvalis_1\n'
    reading = table.read(text)
    assert found(reading) == [("object", [20, 10, 40, 20])]
    assert changes(reading)["csv-class-missing"] == 1
    names = table.path.with_name("names.txt")
    names.write_text("wheat\n")
    assert found(table.read(text, classes=str(names))) == [("wheat", [20, 10, 40, 20])]
    names.write_text("wheat\nrye\n")
    assert "'object'; known are ['wheat', 'rye']" in problem(table.read(text, classes=str(names)))


def test_regions_of_the_vgg_annotator(table):
    header = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
    header += "region_attributes\n"
    rect = '"{""name"":""rect"",""x"":20,""y"":10,""width"":40,""height"":20}"'
    circle = '"{""name"":""circle"",""cx"":50,""cy"":40,""r"":10}"'
    polygon = '"{""name"":""polygon"",""all_points_x"":[1,9,5],""all_points_y"":[2,3,7]}"'
    rows = [
        f'a.jpg,9,"{{}}",4,{number},{shape},"{{""part"":""{name}"",""note"":""x""}}"\n'
        for number, (shape, name) in enumerate([(rect, "bolt"), (circle, "nut"), (polygon, "bolt")])
    ]
    rows.append('b.jpg,9,"{}",0,0,"{}","{}"\n')
    table.image("b.jpg")
    text = header + "".join(rows)
    assert "?key=NAME" in problem(table.read(text))
    reading = table.read(text, "?key=part")
    assert found(reading) == [
        *BOLT,
        ("nut", [40, 30, 20, 20]),
        ("bolt", [1, 2, 8, 5]),
    ]
    assert reading.records[0]["annotations"][2]["segmentation"] == [[1, 2, 9, 3, 5, 7]]
    assert len(reading.records) == 2
    assert changes(reading) == {"csv-columns": 1, "shape-enclosed": 2}
    assert found(table.read(text.replace(',""note"":""x""', ""))) == found(reading)
    point = '"{""name"":""point"",""cx"":20,""cy"":10}"'
    assert "must have an area" in problem(table.read(text.replace(rect, point), "?key=part"))


def test_sets_are_chosen(table):
    rows = "TRAIN,a.jpg,bolt,20,10,,,60,30,,\nTEST,a.jpg,nut,20,10,,,60,30,,\n"
    message = problem(table.read(rows))
    assert "1 rows of 'TRAIN', 1 rows of 'TEST'" in message
    assert "?only=NAME" in message
    assert found(table.read(rows, "?only=train")) == BOLT
    assert len(found(table.read(rows, "?only=all"))) == 2
    assert "several sets" in problem(table.read(rows, "?only=dev"))


def test_images_of_other_sets_are_no_images_without_objects(table):
    for name in ("b.jpg", "c.jpg"):
        table.image(name)
    rows = "TRAIN,gs://x/a.jpg,bolt,20,10,,,60,30,,\nTEST,gs://x/b.jpg,nut,20,10,,,60,30,,\n"
    reading = table.read(rows, "?only=train")
    assert [Path(one["file_name"]).name for one in reading.records] == ["a.jpg", "c.jpg"]
    assert changes(reading)["image-without-labels"] == 1


def test_classes_by_name_id_and_number(table):
    header = "filename,xmin,ymin,xmax,ymax,class,class_id\n"
    rows = "a.jpg,20,10,60,30,nut 10,7\na.jpg,20,10,60,30,nut 9,8\n"
    reading = table.read(header + rows)
    assert (reading.class_names, reading.class_ids) == (["nut 10", "nut 9"], {7: 0, 8: 1})
    # Without ids that tell them apart the names give the order.
    assert table.read(header + rows.replace(",8", ",7")).class_names == ["nut 9", "nut 10"]
    numbers = "filename,xmin,ymin,xmax,ymax,label\na.jpg,20,10,60,30,1\n"
    assert found(table.read(numbers)) == [("1", [20, 10, 40, 20])]
    names = table.path.with_name("names.txt")
    names.write_text("nut\nbolt\n")
    reading = table.read(numbers, classes=str(names))
    assert found(reading) == BOLT
    assert changes(reading)["class-by-number"] == 1
    unknown = table.read(numbers.replace(",1\n", ",2\n"), classes=str(names))
    assert "known are ['nut', 'bolt']" in problem(unknown)


def test_keras_class_files_of_names_and_numbers(table):
    classes = table.path.with_name("classes.csv")
    classes.write_text("nut,0\nbolt,1\n")
    reading = table.read("a.jpg,20,10,60,30,bolt\n", classes=str(classes))
    assert found(reading) == BOLT
    assert reading.class_names == ["nut", "bolt"]


def test_scores_and_crowds(table):
    header = "filename,xmin,ymin,xmax,ymax,class,confidence,iscrowd\n"
    reading = table.read(f"{header}a.jpg,20,10,60,30,bolt,0.5,1\na.jpg,1,2,3,4,bolt,1,0\n")
    first, second = reading.records[0]["annotations"]
    assert (first["score"], first["iscrowd"]) == (0.5, 1)
    assert (second["score"], second["iscrowd"]) == (1, 0)


def test_broken_rows_are_told_one_by_one(table):
    header = "filename,xmin,ymin,xmax,ymax,class\n"
    rows = "a.jpg,20,10,60\n,20,10,60,30,bolt\na.jpg,x,10,60,30,bolt\na.jpg,20,10,60,30,\n"
    reading = table.read(f"{header}{rows}gone.jpg,20,10,60,30,bolt\na.jpg,9,9,9,30,bolt\n")
    assert [one.entry for one in reading.problems] == [f"line {n}" for n in (2, 3, 4, 6, 5, 7)]
    assert found(table.read(f"{header}{rows}a.jpg,20,10,60,30,bolt\n", "", "all=drop")) == BOLT


def test_images_without_rows_are_counted(table):
    table.image("b.jpg")
    text = "filename,xmin,ymin,xmax,ymax,class\na.jpg,20,10,60,30,bolt\n"
    reading = table.read(text)
    assert len(reading.records) == 2
    assert changes(reading)["image-without-labels"] == 1
    assert len(table.read(text, "", "image-without-labels=drop").records) == 1
