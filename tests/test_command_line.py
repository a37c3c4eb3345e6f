"""How commands end."""

import argparse

import pytest

from smallobj.command_line import check_detector_options, run_command


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1)])
def test_status_is_what_the_command_returns(returned, status):
    assert run_command("tool.py", lambda: returned) == status


@pytest.mark.parametrize("error", [ValueError("no such metric: AP33"), OSError("disk is full")])
def test_a_users_error_is_one_sentence(error, capsys):
    def fail():
        raise error

    assert run_command("tool.py", fail) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"tool.py: {error}\n")


def test_bugs_keep_their_traceback():
    with pytest.raises(KeyError):
        run_command("tool.py", lambda: {}["x"])


def test_ctrl_c_is_no_error_of_ours(capsys):
    def interrupt():
        raise KeyboardInterrupt

    assert run_command("tool.py", interrupt) == 130
    assert capsys.readouterr().err == ""


def test_a_missing_detectron2_is_one_sentence(capsys):
    def lack(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    assert run_command("tool.py", lambda: lack("detectron2")) == 2
    assert capsys.readouterr().err.startswith("tool.py: Detectron2 is not installed. Run `make")
    with pytest.raises(ModuleNotFoundError):
        run_command("tool.py", lambda: lack("timm"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"config_file": "none.yaml"}, "none.yaml: there is no such config file"),
        ({"opts": ["SEED"]}, "KEY VALUE pairs; got 1 words"),
        ({"confidence_threshold": 1.5}, "--confidence-threshold must lie in"),
        ({"device": "gpu"}, "the device must be cpu or cuda; got 'gpu'"),
    ],
)
def test_wrong_options_of_a_detector_are_told(wrong, sentence):
    right = {"config_file": None, "opts": [], "confidence_threshold": 0.5, "device": "cuda:1"}
    check_detector_options(argparse.Namespace(**right))
    overridden = {**right, "device": "gpu", "opts": ["MODEL.DEVICE", "cpu"]}
    check_detector_options(argparse.Namespace(**overridden))
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        check_detector_options(argparse.Namespace(**{**right, **wrong}))
