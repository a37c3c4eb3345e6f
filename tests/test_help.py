"""The help of every command says the default of each option that has one."""

import argparse
import sys

import pytest

from smallobj.command_line import HelpWithDefaults

SCRIPTS = ["train_net.py", "demo.py", "tools", "datasets"]


class Built(Exception):
    """Carries a parser out of the script that was about to use it."""


def scripts(repository):
    for name in SCRIPTS:
        path = repository / name
        yield from [path] if path.is_file() else sorted(path.glob("*.py"))


def parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from parsers(command)


@pytest.fixture
def build(load_script, monkeypatch):
    """``build(path)``: the parser of a script, which doesn't run."""

    def stop(parser, *_, **__):
        raise Built(parser)

    def build(path):
        monkeypatch.setattr(sys, "argv", [path.name])
        module = load_script(path)
        main = getattr(module, "cli", None) or module.main
        with monkeypatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, "parse_args", stop)
            with pytest.raises(Built) as built:
                main()
        return built.value.args[0]

    return build


def test_every_option_says_its_default(build, repository):
    silent = []
    count = 0
    for path in scripts(repository):
        for parser in parsers(build(path)):
            formatter = parser._get_formatter()
            for action in parser._actions:
                default = action.default
                values = default if isinstance(default, list | tuple) else [default]
                if (
                    not action.option_strings
                    or isinstance(default, bool)
                    or default in (None, "", [], (), argparse.SUPPRESS)
                ):
                    continue
                count += 1
                told = formatter._expand_help(action) if action.help else ""
                if "default" not in told or any(str(value) not in told for value in values):
                    silent.append(f"{parser.prog} {action.option_strings[-1]}: {told!r}")
    assert not silent, "\n".join(silent)
    assert count > 60


def test_defaults_are_said_once_and_only_where_there_are_some():
    parser = argparse.ArgumentParser(formatter_class=HelpWithDefaults)
    parser.add_argument("--one", default=50, help="in %% of all")
    parser.add_argument("--two", default=[1, 2], nargs="+", help="numbers")
    parser.add_argument("--own", default=3, help="default: 3, or more")
    parser.add_argument("--format", default="default", help="default or coco")
    parser.add_argument("--percent", default="9%", help="share")
    parser.add_argument("--none", help="a file")
    parser.add_argument("--switch", action="store_true", help="does it")
    lines = [line.strip() for line in parser.format_help().splitlines()]
    text = " ".join(" ".join(lines).split())
    for part in (
        "in % of all (default: 50)",
        "numbers (default: 1 2)",
        "default: 3, or more --format",
        "default or coco (default: default)",
        "share (default: 9%)",
        "a file --switch does it",
    ):
        assert part in text
    assert text.endswith("does it")
