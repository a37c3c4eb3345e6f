"""Label files that belong to the image of their name."""

from __future__ import annotations

import os
import unicodedata

from smallobj.data.labels.rules import rule

PARTNER_RULE = rule(
    "label-without-image", "a label file must have an image of its name", dropped="label file"
)


def stem(name: str) -> str:
    """What an image and its label file have in common, in whatever coding of accents."""
    return unicodedata.normalize("NFC", os.path.splitext(name)[0])
