"""What makes two runs the same run."""

import pytest

from smallobj.inference.fingerprint import config_digest


@pytest.mark.parametrize("key", ["OUTPUT_DIR", "MODEL.WEIGHTS"])
def test_where_files_lie_does_not_matter(tiny_config, key):
    assert config_digest(tiny_config()) == config_digest(tiny_config(key, "elsewhere"))


def test_what_results_depend_on_does(tiny_config):
    cfg = tiny_config()
    assert config_digest(cfg) != config_digest(tiny_config("TEST.TILE.OVERLAP", 31))
    # The config itself stays as it was.
    assert cfg.MODEL.DEVICE == "cpu"
