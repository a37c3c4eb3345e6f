"""Wrong keys and values: all at once, with their file, and what was probably meant."""

import pytest

from smallobj import get_cfg, load_config
from smallobj.config.key_checks import close_keys, known_keys


def write(path, text):
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("MAX_ITER", "SOLVER.MAX_ITER"),
        ("SOLVER.MAX_ITERS", "SOLVER.MAX_ITER"),
        ("MAX_ITERS", "SOLVER.MAX_ITER"),
        ("solver.max_iter", "SOLVER.MAX_ITER"),
        ("MODEL.MAX_ITER", "SOLVER.MAX_ITER"),
        ("MODEL.ROI_HEAD.NUM_CLASSES", "MODEL.ROI_HEADS.NUM_CLASSES"),
        ("INPUT.TILES.SIZE", "INPUT.TILE.SIZE"),
        ("TEST.TILE.OVERLAPS", "TEST.TILE.OVERLAP"),
        ("TILE.SHUFFLE_BUFFER", "INPUT.TILE.SHUFFLE_BUFFER"),
        ("OUTPUTDIR", "OUTPUT_DIR"),
        ("DATASET.TRAIN", "DATASETS.TRAIN"),
    ],
)
def test_what_was_meant_comes_first(wrong, meant):
    close = close_keys(wrong, known_keys(get_cfg()))
    assert close[0] == meant
    assert len(close) <= 3


def test_nothing_similar_gets_no_advice():
    assert close_keys("QUUX.FROBNICATE", known_keys(get_cfg())) == []


def test_every_wrong_key_of_a_file_and_its_base_is_named(tmp_path):
    base = "SOLVER: {MAX_ITERS: 5, BASE_LR: fast}\nMAX_ITER: 3\n"
    base = write(tmp_path / "base.yaml", base)
    top = "_BASE_: base.yaml\nSOLVERS: {MAX_ITER: 5, STEPS: [1]}\nSEED: 1\nINPUT: {MAPPER: 3}\n"
    top = write(tmp_path / "top.yaml", top)
    with pytest.raises(ValueError, match="5 keys are wrong") as error:
        load_config(top)
    start, *lines = str(error.value).splitlines()
    assert start.startswith(f"{top}: ")
    assert {line.strip() for line in lines} == {
        f"{base}: there is no key SOLVER.MAX_ITERS; did you mean SOLVER.MAX_ITER?",
        f"{base}: SOLVER.BASE_LR: a number is wanted, got 'fast' (text)",
        f"{base}: there is no key MAX_ITER; did you mean SOLVER.MAX_ITER?",
        f"{top}: there is no key SOLVERS; did you mean SOLVER?",
        f"{top}: INPUT.MAPPER: text is wanted, got 3 (a whole number)",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SEED: 1.5", "SEED: a whole number is wanted, got 1.5"),
        ("SEED: True", "SEED: a whole number is wanted, got True"),
        ("SEED: 2024-01-02", "SEED: a whole number is wanted, got datetime.date"),
        ("SOLVER: 3", "SOLVER: a section of keys is wanted, got 3"),
        ("SOLVER:", "SOLVER: a section of keys is wanted, got nothing"),
        ("SEED: {A: 1}", "SEED: a whole number is wanted, got a section of keys"),
        ("DATASETS: {TRAIN: mine}", "DATASETS.TRAIN: a list is wanted, got 'mine'"),
        ("SOLVER: {AMP: {ENABLED: 1}}", "SOLVER.AMP.ENABLED: True or False is wanted, got 1"),
        ("SOLVER: {BASE_LR: True}", "SOLVER.BASE_LR: a number is wanted, got True"),
        ("MODEL: {1: 2}", "there is no key MODEL.1"),
    ],
)
def test_a_wrong_value_tells_key_kind_and_value(tmp_path, text, told):
    path = write(tmp_path / "a.yaml", text + "\n")
    with pytest.raises(ValueError, match=r"a\.yaml: ") as error:
        load_config(path)
    assert told in str(error.value)


def test_a_whole_number_is_a_number(tmp_path):
    path = write(tmp_path / "a.yaml", "SOLVER: {BASE_LR: 1, GAMMA: 1e-3}\n")
    cfg = load_config(path, ["SOLVER.MOMENTUM", "0", "SOLVER.WEIGHT_DECAY", 2])
    values = (cfg.SOLVER.BASE_LR, cfg.SOLVER.GAMMA, cfg.SOLVER.MOMENTUM, cfg.SOLVER.WEIGHT_DECAY)
    assert values == (1.0, 0.001, 0.0, 2.0)
    assert all(isinstance(value, float) for value in values)


def test_every_wrong_option_is_named():
    words = ["MAX_ITER", "5", "SEED", "x", "SEED", "3", "MODEL.WEIGHTS.A", "1", "MODEL", "2"]
    with pytest.raises(ValueError, match="4 bad options") as error:
        load_config(None, words)
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == [
        "there is no key MAX_ITER; did you mean SOLVER.MAX_ITER?",
        "SEED: a whole number is wanted, got 'x' (text)",
        "there is no key MODEL.WEIGHTS.A",
        "MODEL: a section of keys is wanted, got 2 (a whole number)",
    ]
