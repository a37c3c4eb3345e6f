import csv
import json
import os
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml

from smallobj.demo.run import DemoRun
from smallobj.inference import detector_config as bundled

NAMES = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory, save_untrained):
    folder = tmp_path_factory.mktemp("model")
    save_untrained(folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a/1.jpg", "a/2.png", "b/1.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    return tmp_path


@pytest.fixture
def demo(load_script, monkeypatch, tmp_path):
    """main() of demo.py, in a working directory of its own."""
    module = load_script("demo.py")
    monkeypatch.chdir(tmp_path)
    return lambda *words: module.main([str(word) for word in words])


@pytest.fixture
def weights(model_folder):
    return ("--weights", model_folder / "model.safetensors", "--device", "cpu")


def test_a_run_from_the_shell(photos, model_folder, repository):
    (photos / "a" / "broken.jpg").write_bytes(b"\xff\xd8 not much of a photograph")
    words = [
        *("--input", "a", "b/*.jpg", "--json", "d.json", "--csv", "d.csv", "--coco", "c.json"),
        *("--config-file", model_folder / "config.yaml", "--device", "cpu", "--debug"),
        *("--confidence-threshold", "0.01", "--opts", "TEST.DETECTIONS_PER_IMAGE", "3"),
        *("MODEL.WEIGHTS", model_folder / "model.safetensors"),
    ]
    run = subprocess.run(
        [sys.executable, str(repository / "demo.py"), *map(str, words)],
        cwd=photos,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 1, run.stderr
    assert "skipped: a/broken.jpg: truncated JPEG" in run.stderr
    assert "4/4" in run.stderr  # the progress bar
    assert re.search(r"DETECTIONS_PER_IMAGE 3 cut \d+ detections.* in 3 images", run.stderr)
    assert "Traceback" not in run.stderr
    # a/1.jpg and b/1.jpg don't replace one another
    pictures = ["a_1.jpg", "2.png", "b_1.jpg"]
    for name in pictures:
        assert f"wrote output/demo/{name}" in run.stdout
        assert cv2.imread(str(photos / "output" / "demo" / name)).shape == (120, 160, 3)
    content = json.loads((photos / "d.json").read_text())
    assert content["classes"] == NAMES
    assert [image["file"] for image in content["images"]] == ["a/1.jpg", "a/2.png", "b/1.jpg"]
    assert [len(image["detections"]) for image in content["images"]] == [3, 3, 3]
    first = content["images"][0]["detections"][0]
    rows = list(csv.DictReader((photos / "d.csv").read_text().splitlines()))
    assert len(rows) == 9
    assert (rows[0]["file"], rows[0]["class"]) == ("a/1.jpg", first["class"])
    assert float(rows[0]["score"]) == first["score"]
    assert f"{first['class']}" in run.stdout
    assert f"{first['score']:.2f}" in run.stdout
    # The broken file is the third, and keeps its number.
    assert [r["image_id"] for r in json.loads((photos / "c.json").read_text())[::3]] == [1, 2, 4]


def test_boxes_are_those_of_the_predictor(photos, demo, weights, model_folder):
    from smallobj.inference import SmallObjectPredictor

    demo("--input", "a/1.jpg", *weights, "--json", "d.json", "--confidence-threshold", "0.2")
    found = json.loads((photos / "d.json").read_text())["images"][0]["detections"]
    cfg = bundled.prepare_detector_config(None, str(weights[1]), "cpu")
    expected = SmallObjectPredictor(cfg)(cv2.imread(str(photos / "a" / "1.jpg")))["instances"]
    expected = expected[expected.scores >= 0.2]
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(
        [entry["box"] for entry in found], expected.pred_boxes.tensor.numpy(), atol=0.006
    )
    assert [entry["class_id"] for entry in found] == expected.pred_classes.tolist()


def test_one_image_to_one_file(demo, photos, weights, capsys):
    assert demo("--input", "a/1.jpg", "--output", "x/y.png", *weights) == 0
    assert "wrote x/y.png" in capsys.readouterr().out
    assert cv2.imread(str(photos / "x" / "y.png")).shape == (120, 160, 3)


def test_many_images_are_summed_up(demo, photos, weights, capsys):
    image = cv2.imread(str(photos / "a" / "1.jpg"))[:40, :40]
    for number in range(11):
        cv2.imwrite(str(photos / "b" / f"m{number:02d}.png"), image)
    assert demo("--input", "b/m*", *weights, "--confidence-threshold", "0") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "objects"]
    assert [line.split()[0] for line in lines[1:12]] == [f"b/m{n:02d}.png" for n in range(11)]
    assert all(int(line.split()[1]) > 0 for line in lines[1:12])


def test_no_detection_gives_a_hint(demo, photos, weights, capsys):
    assert demo("--input", "a/1.jpg", *weights, "--confidence-threshold", "1") == 0
    printed = capsys.readouterr()
    assert "lower --confidence-threshold? The model knows red, green, blue" in printed.out
    assert "bundled" not in printed.err


def test_pictures_of_a_tree_mirror_it_and_are_no_input_of_the_next_run(
    demo, photos, weights, capsys
):
    for _ in range(2):
        words = ["--input", ".", "--output", "found", *weights, "--confidence-threshold", "0.9"]
        assert demo(*words) == 0
        assert "3 images in ., 3 of them in subfolders" in capsys.readouterr().err
    assert sorted(str(p.relative_to(photos)) for p in (photos / "found").rglob("*.*")) == [
        "found/a/1.jpg",
        "found/a/2.png",
        "found/b/1.jpg",
    ]


def test_the_choice_of_labels_is_said_unless_the_user_makes_it(demo, photos, weights, capsys):
    words = ["--input", "a/1.jpg", *weights, "--confidence-threshold", "0"]
    assert demo(*words) == 0
    assert "labels, by the room between the objects: none in 1" in capsys.readouterr().err
    assert demo(*words, "--labels", "index", "--no-legend", "--line-width", "1") == 0
    assert "labels, by" not in capsys.readouterr().err
    assert demo(*words, "--line-width", "0") == 2
    assert "--line-width" in capsys.readouterr().err


def test_an_interrupted_run_keeps_what_it_has(demo, photos, weights, monkeypatch, capsys):
    draw = DemoRun.draw
    calls = []

    def interrupted(self, *found):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw(self, *found)

    monkeypatch.setattr(DemoRun, "draw", interrupted)
    assert demo("--input", "a", "b", *weights, "--json", "d.json") == 130
    images = json.loads((photos / "d.json").read_text())["images"]
    assert [image["file"] for image in images] == ["a/1.jpg"]
    assert "interrupted" in capsys.readouterr().err


def test_video(demo, photos, weights, capsys):
    writer = cv2.VideoWriter("film.avi", cv2.VideoWriter.fourcc(*"MJPG"), 8, (160, 120))
    for name in ("a/1.jpg", "b/1.jpg"):
        writer.write(cv2.imread(name))
    writer.release()
    words = ("--video-input", "film.avi", "--confidence-threshold", "0.2", "--json", "d.json")
    assert demo(*words, *weights) == 0
    output = capsys.readouterr().out
    assert "wrote output/demo/film.mp4" in output
    assert "detections in 2 frames" in output
    capture = cv2.VideoCapture("output/demo/film.mp4")
    assert (capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)) == (8, 2)
    images = json.loads((photos / "d.json").read_text())["images"]
    assert [image["file"] for image in images] == ["film.avi#1", "film.avi#2"]
    assert images[0]["detections"]


def test_a_video_that_ends_early_is_told(demo, photos, weights, capsys, monkeypatch):
    writer = cv2.VideoWriter("film.avi", cv2.VideoWriter.fourcc(*"MJPG"), 8, (160, 120))
    for _ in range(10):
        writer.write(cv2.imread("a/1.jpg"))
    writer.release()
    content = (photos / "film.avi").read_bytes()
    (photos / "film.avi").write_bytes(content[: len(content) // 2])
    assert demo("--video-input", "film.avi", "--json", "d.json", *weights) == 1
    images = json.loads((photos / "d.json").read_text())["images"]
    assert 1 <= len(images) < 9
    assert f"film.avi: {len(images)} of 10 frames could be read" in capsys.readouterr().err


def test_the_webcam_shows_frames_until_a_key(demo, weights, monkeypatch):
    from smallobj.demo import frames as frame_loop
    from smallobj.demo import video

    shown = []
    frames = [np.full((60, 80, 3), level, np.uint8) for level in (0, 100, 200)]

    class Camera:
        name, fps, announced = "webcam 0", 30.0, 0

        def __init__(self, index):
            assert index == 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __iter__(self):
            return iter(frames)

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(frame_loop.cv2, "imshow", lambda _, picture: shown.append(picture))
    monkeypatch.setattr(frame_loop.cv2, "waitKey", lambda _: ord("q") if len(shown) == 2 else -1)
    monkeypatch.setattr(frame_loop.cv2, "destroyAllWindows", lambda: shown.append("closed"))
    monkeypatch.setattr(video, "Video", Camera)
    assert demo("--webcam", *weights) == 0
    assert len(shown) == 3
    assert shown[-1] == "closed"


def test_no_display_is_said_in_a_sentence(demo, weights, monkeypatch, capsys):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert demo("--webcam", *weights) == 2
    assert "there is no display" in capsys.readouterr().err


BAD = [
    (["--input", "nowhere.jpg"], "nowhere.jpg: no such file"),
    (["--input", "a", "--config-file", "none.yaml"], "none.yaml"),
    (["--input", "a", "--weights", "none.pth"], "no config.yaml beside none.pth"),
    (["--input", "a", "--weights", "none.pth", "--config-file", "{config}"], "no such file"),
    (["--input", "a", "--config-file", "{config}"], "names no weights; give --weights"),
    (["--input", "a", "--config-file", "code.yaml"], "refused"),
    (["--input", "a", "--config-file", "{config}", "--weights", "w.pkl"], "refused"),
    (["--input", "a", "--weights", "{weights}", "--opts", "NO.SUCH", "1"], "NO.SUCH"),
    (["--input", "a", "--weights", "{weights}", "--opts", "SEED"], "KEY VALUE"),
    (["--input", "a", "--weights", "{weights}", "--device", "tpu"], "must be cpu or cuda"),
    (["--input", "a", "--weights", "{weights}", "--confidence-threshold", "7"], "got 7"),
    (["--input", "a", "--weights", "{weights}", "--output", "x.jpg"], "give a folder"),
    (["--input", "a", "--weights", "{weights}", "--output", "a"], "replace the input"),
    (["--input", "a", "--weights", "{weights}", "--json", "a"], "this is a folder"),
    (["--input", "a", "--weights", "{weights}", "--coco-images", "x.json"], "goes with --coco"),
    (["--video-input", "a/1.txt", "--weights", "{weights}"], "no such video file"),
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=[said for _, said in BAD])
def test_a_user_s_error_is_one_sentence(words, said, demo, photos, model_folder, capsys):
    (photos / "code.yaml").write_text("OUTPUT_DIR: !!python/object/apply:os.getcwd []\n")
    (photos / "w.pkl").write_bytes(b"")
    places = {
        "config": model_folder / "config.yaml",
        "weights": model_folder / "model.safetensors",
    }
    assert demo(*(word.format(**places) for word in words)) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert output.err.startswith("demo.py: ")
    assert "Traceback" not in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    "words", [[], ["--input", "a", "--video-input", "b"], ["--input", "a", "--webcam"]]
)
def test_there_is_one_source(demo, words, capsys):
    with pytest.raises(SystemExit) as caught:
        demo(*words)
    assert caught.value.code == 2
    assert "--input" in capsys.readouterr().err


def test_the_bundled_model_is_the_default(demo, photos, model_folder, monkeypatch, capsys):
    bundle = photos / "bundle"
    bundle.mkdir()
    content = yaml.safe_load((model_folder / "config.yaml").read_text())
    content["MODEL"]["WEIGHTS"] = "light.safetensors"
    (bundle / "light.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(bundled, "BUNDLED_CONFIG", str(bundle / "light.yaml"))
    words = ("--input", "a/1.jpg", "--device", "cpu")
    assert demo(*words) == 2
    assert "light.safetensors: this file of the bundled model is missing" in capsys.readouterr().err
    (bundle / "light.safetensors").write_bytes((model_folder / "model.safetensors").read_bytes())
    assert demo(*words, "--json", "d.json") == 0
    assert json.loads((photos / "d.json").read_text())["classes"] == NAMES
    (bundle / "light.yaml").unlink()
    assert demo(*words) == 2
    assert "give --config-file and --weights" in capsys.readouterr().err


def test_classes_come_from_the_datasets_of_a_bare_config(tiny_dataset, catalog, repository):
    config = str(repository / "configs" / "quick" / "cascade_tiny.yaml")
    options = tiny_dataset.options("demo_squares")
    cfg = bundled.prepare_detector_config(config, "w.safetensors", "cpu", options)
    assert cfg.MODEL.CLASS_NAMES == NAMES
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 3


def test_a_config_without_classes_points_at_the_one_that_training_writes(repository):
    config = str(repository / "configs" / "quick" / "cascade_tiny.yaml")
    missing = "DATASETS.TRAIN", "('no_such_dataset',)", "DATASETS.TEST", "()"
    none = "DATASETS.TRAIN", "()", "DATASETS.TEST", "()"
    for options in (missing, none):
        with pytest.raises(ValueError, match=r"config\.yaml that training writes into OUTPUT_DIR"):
            bundled.prepare_detector_config(config, "w.safetensors", "cpu", options)
    # With a number alone the classes go by numbers.
    options = (*missing, "MODEL.ROI_HEADS.NUM_CLASSES", "4")
    cfg = bundled.prepare_detector_config(config, "w.safetensors", "cpu", options)
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 4
    assert cfg.MODEL.CLASS_NAMES == []


def test_forgotten_weights_are_suggested(model_folder, tmp_path):
    (tmp_path / "config.yaml").write_text((model_folder / "config.yaml").read_text())
    (tmp_path / "model_best.pth").write_bytes(b"")
    with pytest.raises(ValueError, match=r"did you mean --weights .*model_best\.pth"):
        bundled.prepare_detector_config(str(tmp_path / "config.yaml"), None, "cpu")


def test_a_config_may_name_weights_beside_it(demo, photos, model_folder, capsys):
    text = yaml.safe_load((model_folder / "config.yaml").read_text())
    text["MODEL"]["WEIGHTS"] = "model.safetensors"
    named = model_folder / "named.yaml"
    named.write_text(yaml.safe_dump(text))
    words = ("--config-file", named, "--device", "cpu", "--output", photos / "out")
    assert demo("--input", photos / "a" / "1.jpg", *words) == 0
    assert (photos / "out" / "1.jpg").is_file()
