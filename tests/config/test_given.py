"""The keys that a user sets, apart from the shipped config behind them."""

from smallobj import get_cfg, load_config
from smallobj.config.given import given_keys


def test_options_come_first_and_bases_and_defaults_are_left_out(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "_BASE_: cascade_r18.yaml\nSOLVER: {MAX_ITER: 9, GAMMA: 0.5}\nSEED: -1\n"
        "DATASETS: {TRAIN: \"('a', 'b')\", TEST: []}\nINPUT: {TILE: {SIZE: 300}}\n"
    )
    given = given_keys(str(path), ["OUTPUT_DIR", "x", "SOLVER.MAX_ITER", "7"], get_cfg())
    # SEED is at Detectron2's default.
    assert given == {
        "OUTPUT_DIR": "x",
        "SOLVER.MAX_ITER": "7",
        "SOLVER.GAMMA": "0.5",
        "DATASETS.TRAIN": "('a', 'b')",
        "INPUT.TILE.SIZE": "300",
    }
    assert list(given)[:2] == ["OUTPUT_DIR", "SOLVER.MAX_ITER"]


def test_a_whole_config_tells_what_differs_from_the_defaults(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(load_config(None, ["SOLVER.MAX_ITER", "7", "SEED", "3"]).dump())
    assert given_keys(str(path), [], get_cfg()) == {"SOLVER.MAX_ITER": "7", "SEED": "3"}
