import pytest

import smallobj  # noqa: F401
from smallobj.whole_file import require_writable


def test_places_that_cannot_be_written_are_found_before_the_run(tmp_path):
    require_writable([str(tmp_path / "a" / "b.json")])
    assert (tmp_path / "a").is_dir()
    with pytest.raises(ValueError, match="this is a folder"):
        require_writable([str(tmp_path / "a")])
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        require_writable([str(tmp_path / "file" / "b.json")])
