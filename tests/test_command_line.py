"""How commands end."""

import pytest

from smallobj.command_line import run_command


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
