"""Where config files lie: at the given path, or among the shipped configs. Reads none of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path, PurePath

_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_ENDINGS = (".yaml", ".yml")


def find_config(name: str | os.PathLike[str], named_in: str = "") -> str:
    """The path of a config file.

    It is looked up as written, then among the shipped configs: in configs/ of the checkout from
    which the package is imported, and in configs/ of the working directory. ".yaml" may be left
    out. "~" is the user's home.

    Args:
        name: a path or the name of a shipped config, "cascade_r18" or "quick/ssd_tiny.yaml".
        named_in: the config file that names it in ``_BASE_``: relative paths are relative to its
            folder. "": they are relative to the working directory.

    Raises:
        FileNotFoundError: there is no such file; says where it was looked for.
        ValueError: the name is a web address.
    """
    text = os.fspath(name)
    source = f" (_BASE_ of {named_in})" if named_in else ""
    if _ADDRESS.match(text):
        raise ValueError(
            f"{text}: config files are read from local disk only{source}; download the file first "
            "and give its path"
        )
    places = list(dict.fromkeys(_places(text, os.path.dirname(named_in))))
    for place in places:
        if os.path.isfile(place):
            return place
    what = "it is a folder, and " if os.path.isdir(places[0]) else ""
    raise FileNotFoundError(
        f"{text}: {what}there is no such config file{source}; looked for {', '.join(places)}"
        f"{_advice(text)}"
    )


def shipped_folders() -> list[Path]:
    """The folders of shipped configs that exist."""
    checkout = Path(__file__).resolve().parent.parent
    # Of an installed package it is site-packages, where a folder "configs" is somebody else's.
    roots = [checkout] if (checkout / "train_net.py").is_file() else []
    roots.append(Path.cwd())
    folders = [root / "configs" for root in roots]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _places(name: str, folder: str) -> Iterator[str]:
    path = os.path.expanduser(name)
    yield from _spellings(os.path.join(folder, path))
    if os.path.isabs(path):
        return
    parts = list(PurePath(path).parts)
    # "../cascade_r18.yaml" and "configs/cascade_r18.yaml" mean the same among the shipped ones.
    while parts and parts[0] in ("..", "configs"):
        parts.pop(0)
    if parts:
        for shipped in shipped_folders():
            yield from _spellings(str(shipped.joinpath(*parts)))


def _spellings(path: str) -> Iterator[str]:
    yield path
    if not path.lower().endswith(_ENDINGS):
        yield f"{path}.yaml"


def _advice(name: str) -> str:
    """The shipped configs with a similar name, as the end of a message."""
    known: dict[str, str] = {}
    for folder in shipped_folders():
        for path in sorted(folder.rglob("*.yaml")):
            known.setdefault(path.stem, path.relative_to(folder).as_posix())
    close = get_close_matches(PurePath(name).stem, known, n=3, cutoff=0.75)
    return f". Did you mean {' or '.join(known[stem] for stem in close)}?" if close else ""
