"""Images of a results file that the data set does not have: counted, and reported or left out."""

from __future__ import annotations

from collections.abc import Sequence

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.rules import DROP, rule
from smallobj.formats.image_names import ImageNames

KNOWN_IMAGE = rule(
    "result-of-unknown-image", "the image must be one of the data set", dropped="result"
)
ONCE = "an image may occur once"


class UnknownImages:
    """Counts results of unknown images; as an error, one problem tells of them all."""

    def __init__(self, path: str) -> None:
        """
        Args:
            path: the file of results.
        """
        self._path = path
        self._first: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def add(self, image: object, entry: str, results: int = 1) -> None:
        """Counts results.

        Args:
            image: name or id of the image.
            entry: their place in the file.
            results: their number.
        """
        name = shown(image)
        self._first.setdefault(name, entry)
        self._counts[name] = self._counts.get(name, 0) + results

    def tell(self, log: ProblemLog) -> None:
        """Reports what was counted."""
        if not self._counts:
            return
        if log.policy.action(KNOWN_IMAGE) == DROP:
            for name, count in self._counts.items():
                for _ in range(count):
                    log.report(self._path, self._first[name], KNOWN_IMAGE, name)
            return
        number, results = len(self._counts), sum(self._counts.values())
        name = next(iter(self._counts))
        value = (
            f"{name}{f' and {number - 1} more' if number > 1 else ''}; in all "
            f"{counted(results, 'result')} of {counted(number, 'image')} that the labels do not "
            "have, which --drop-unknown-images leaves out"
        )
        log.report(self._path, self._first[name], KNOWN_IMAGE, value)


class NamedImages:
    """The images of a data set by the names in one file of results, which may hold each once.

    Attributes:
        path: the file.
        log: takes what is wrong with it.
    """

    def __init__(self, paths: Sequence[str], path: str, log: ProblemLog) -> None:
        """
        Args:
            paths: of the images by number.
            path: the file of results.
            log: takes what is wrong with it.
        """
        self.path = path
        self.log = log
        self._names = ImageNames(paths)
        self._unknown = UnknownImages(path)
        # By number, not by name: two names may mean one image.
        self._seen: set[int] = set()

    def number(self, file: str, entry: str, results: int) -> int | None:
        """Number of an image, None for one that is unknown or occurs again.

        Args:
            file: its name.
            entry: its place in the file.
            results: number of its results.
        """
        number = self._names.find(file)
        if number is None:
            self._unknown.add(file, entry, results)
        elif number in self._seen:
            self.log.report(self.path, entry, ONCE, f"{shown(file)} again")
            return None
        else:
            self._seen.add(number)
        return number

    def tell_unknown(self) -> None:
        """Reports all unknown images, once the file has been read."""
        self._unknown.tell(self.log)


def counted(number: int, word: str) -> str:
    """A number with its word.

    >>> counted(1, "image"), counted(0, "result")
    ('1 image', '0 results')
    """
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
