"""Images by the ends of their paths."""

from smallobj.formats.image_names import ImageNames


def test_names_of_images():
    names = ImageNames(["/d/x/1.jpg", "/d/x/2.jpg", "/d/y/1.jpg"])
    assert names.find("/d/y/1.jpg") == names.find("y/1.jpg") == names.find("./y/1.jpg") == 2
    assert names.find("2.jpg") == names.find("elsewhere/x/2.jpg") == 1
    assert names.find("1.jpg") is None  # two images are called so
    assert names.find("y/2.jpg") is None
    assert names.find("z/1.jpg") is None
    below = ImageNames(["/d/1.jpg", "/d/more/1.jpg"])
    assert below.find("1.jpg") == below.find("other/1.jpg") == 0
    assert below.find("more/1.jpg") == below.find("/tmp/more/1.jpg") == 1
    assert ImageNames([]).find("1.jpg") is None
    assert ImageNames(["1.jpg"]).find("photos/1.jpg") == 0


def test_names_of_other_tools():
    """Another ending, none, other case, backslashes; the name as it is written comes first."""
    names = ImageNames(["/d/x/1.jpg", "/d/x/2.JPG", "/d/y/scan.0003.tif", "/d/y/4.tif.jpg"])
    assert names.find("1.png") == names.find("x/1") == names.find(r"C:\run\x\1.JPG") == 0
    assert names.find("2") == names.find("2.jpg") == 1
    assert names.find("scan.0003") == names.find("Scan.0003.png") == 2
    assert names.find("4.tif") == 3
    assert names.find("scan") is None
    assert names.find_exactly("1.png") is None
    pairs = ImageNames(["d/1.jpg", "d/1.png"])
    assert (pairs.find("1.png"), pairs.find("1"), pairs.find("1.tif")) == (1, None, None)
