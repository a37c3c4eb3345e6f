import os

import cv2
import numpy as np
import pytest

import smallobj  # noqa: F401
from smallobj.demo.video import plan_video
from smallobj.image_paths import IMAGE_ENDINGS
from smallobj.results.picture_files import plan_pictures, write_picture, write_picture_somehow


def test_pictures_of_the_same_name_go_to_different_files(tmp_path):
    inputs = ["/p/a/1.jpg", "/p/b/1.jpg", "/q/b/1.jpg", "/p/a/2.png"]
    planned = plan_pictures(inputs, str(tmp_path))
    assert planned == [
        str(tmp_path / name) for name in ("a_1.jpg", "p_b_1.jpg", "q_b_1.jpg", "2.png")
    ]


def test_a_name_made_longer_takes_no_other_input_s(tmp_path):
    inputs = ["/p/a/1.jpg", "/p/b/1.jpg", "/p/a_1.jpg", "/a/1.jpg", "/p_a_1.jpg"]
    assert len(set(plan_pictures(inputs, str(tmp_path)))) == len(inputs)


def test_pictures_of_subfolders_go_to_the_same_subfolders():
    inputs = ["/p/1.jpg", "/p/a/1.jpg", "/p/a/b/1.jpg", "/q/a/1.jpg", "/q/c/2.png", "/r/9.gif"]
    planned = plan_pictures(inputs, "/o", ["/p", "/q/"])
    assert planned == [
        f"/o/{name}"
        for name in ("1.jpg", "p_a/1.jpg", "a/b/1.jpg", "q_a/1.jpg", "c/2.png", "9.gif.jpg")
    ]
    # A picture can't have the name of a folder.
    planned = plan_pictures(["/p/a/b.jpg", "/p/a/b.jpg/c.jpg"], "/o", ["/p"])
    assert planned[1] == "/o/a/b.jpg/c.jpg"
    assert planned[0] not in (planned[1], "/o/a/b.jpg")


@pytest.mark.parametrize("ending", [*IMAGE_ENDINGS, ".gif", ""])
def test_a_picture_gets_an_ending_that_can_be_written(tmp_path, ending):
    (planned,) = plan_pictures([f"/p/1{ending}"], str(tmp_path / "o"))
    write_picture(planned, np.full((4, 6, 3), (20, 120, 220), dtype=np.uint8))
    assert cv2.imread(planned).shape == (4, 6, 3)
    assert np.abs(cv2.imread(planned).mean(axis=(0, 1)) - (20, 120, 220)).max() < 4
    assert os.path.basename(planned) in (f"1{ending}", f"1{ending}.jpg")


def test_one_output_file_for_one_input(tmp_path):
    assert plan_pictures(["/p/1.jpg"], "out.png") == ["out.png"]
    with pytest.raises(ValueError, match=r"out\.png is one file and there are 2 input images"):
        plan_pictures(["/p/1.jpg", "/p/2.jpg"], "out.png")
    with pytest.raises(ValueError, match=r"got out\.pgm"):
        plan_pictures(["/p/1.jpg"], "out.pgm")


def test_inputs_are_never_replaced(tmp_path):
    photo = tmp_path / "1.jpg"
    photo.write_bytes(b"x")
    for output in (tmp_path, photo):
        with pytest.raises(ValueError, match=r"would replace the input image .*1\.jpg"):
            plan_pictures([str(photo)], str(output))
    with pytest.raises(ValueError, match=r"would replace the input video .*film\.mp4"):
        plan_video(str(tmp_path / "film.mp4"), str(tmp_path))
    assert plan_video("film.avi", "found") == "found/film.mp4"
    assert plan_video("film.avi", "found/x.MP4") == "found/x.MP4"


def test_what_a_format_cannot_hold_is_written_as_png_beside_it(tmp_path):
    wide = np.zeros((2, 17000, 3), np.uint8)
    path, taken = str(tmp_path / "a.webp"), str(tmp_path / "a.webp.png")
    assert write_picture_somehow(path, wide[:, :10]) == path
    assert write_picture_somehow(path, wide) == taken
    assert write_picture_somehow(path, wide, {taken}) == f"{taken}.png"
    assert cv2.imread(f"{taken}.png").shape == wide.shape
