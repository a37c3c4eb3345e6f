"""Colours of classes: fixed by the class's number, the same in every picture and report.

Chosen one after another, each as far as possible from those before it, seen with normal vision and
with the three kinds of colour blindness (simulated as in Machado, Oliveira and Fernandes, "A
Physiologically-based Model for Simulation of Color Vision Deficiency", 2009). So the first ones
are the easiest to tell apart. More than 30 colours can't be told apart: they repeat.
"""

from __future__ import annotations

Color = tuple[int, int, int]

# RGB.
PALETTE = (
    *("#ff8800", "#6611ff", "#11ddff", "#884466", "#eeeeaa", "#5588ff", "#446622", "#aa0099"),
    *("#ff5566", "#99ff66", "#ffaabb", "#ff77cc", "#ccff00", "#4455ee", "#887700", "#55aa77"),
    *("#ee9955", "#44aaff", "#bb66cc", "#99ffee", "#8833bb", "#00ee77", "#bb4455", "#cc6699"),
    *("#ccdd33", "#aacc99", "#008888", "#22cc11", "#aa6644", "#bb0022"),
)
_INK_DARK: Color = (0, 0, 0)
_INK_LIGHT: Color = (255, 255, 255)


def class_color(index: int) -> Color:
    """The BGR colour of a class.

    >>> class_color(0)
    (0, 136, 255)
    """
    red, green, blue = bytes.fromhex(PALETTE[index % len(PALETTE)][1:])
    return blue, green, red


def ink_on(color: Color) -> Color:
    """Black or white, whichever is easier to read on a BGR colour."""
    return _INK_DARK if _brightness(color) > 110 else _INK_LIGHT


def contrast_of(color: Color) -> Color:
    """A dark shade of a bright BGR colour, and a pale one of a dark colour."""
    blue, green, red = color
    if _brightness(color) > 90:
        return blue // 3, green // 3, red // 3
    return (blue + 510) // 3, (green + 510) // 3, (red + 510) // 3


def _brightness(color: Color) -> float:
    blue, green, red = color
    return 0.114 * blue + 0.587 * green + 0.299 * red
