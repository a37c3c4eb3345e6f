"""XML from files of strangers: no document type, hence no entities, with the line of each element.

Entities are how a few lines of XML grow to gigabytes or read other files; labels need none.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from smallobj.data.labels.problems import ProblemLog, shown
from smallobj.data.labels.reading import MUST_EXIST, READABLE

VALID_XML = "the file must be valid XML"
NO_DOCTYPE = "the file must not have a document type (DOCTYPE): entities are not read"


class _DoctypeFoundError(Exception):
    pass


def read_xml(path: str, log: ProblemLog) -> tuple[Element, dict[Element, int]] | None:
    """Root element and the line of each element, or None after reporting what is wrong."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        log.report(path, "whole file", MUST_EXIST, "no such file")
        return None
    except OSError as error:
        log.report(path, "whole file", READABLE, str(error))
        return None
    # expat itself: ElementTree's own parser does not say on which line an element stands.
    parser, builder, lines = expat.ParserCreate(), TreeBuilder(), {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def refuse(name: str, *_: object) -> None:
        # At its beginning, before an entity in it is declared.
        raise _DoctypeFoundError(name)

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close(), lines
    except _DoctypeFoundError as error:
        entry = f"line {parser.CurrentLineNumber}"
        log.report(path, entry, NO_DOCTYPE, f"DOCTYPE {shown(str(error))}")
    # ValueError and LookupError: encodings that expat or Python doesn't know.
    except (expat.ExpatError, ValueError, LookupError) as error:
        log.report(path, f"line {parser.CurrentLineNumber}", VALID_XML, str(error))
    return None
