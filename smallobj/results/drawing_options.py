"""The user's options for pictures with boxes."""

from __future__ import annotations

import argparse
import dataclasses

from smallobj.checks import check_positive

# From the tersest to the most verbose; "full" is name and score, "index" the class's number.
LABEL_KINDS = ("none", "index", "name", "full")


@dataclasses.dataclass(frozen=True)
class DrawingOptions:
    """What is drawn beside the objects.

    Attributes:
        labels: one of LABEL_KINDS; None: the most verbose for which there is room.
        line_width: of the frames, in pixels; None: by the sizes of objects and picture, and thinner
            where a frame would cover a neighbour.
        legend: list classes, colours and counts; None: if the labels don't name every object. It
            lies where it covers no object, or else in a margin below the image.
    """

    labels: str | None = None
    line_width: int | None = None
    legend: bool | None = None

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: an unknown kind of labels, or a line width below 1.
        """
        if self.labels not in (None, *LABEL_KINDS):
            raise ValueError(f"labels must be one of {', '.join(LABEL_KINDS)}; got {self.labels!r}")
        if self.line_width is not None:
            check_positive("the line width", self.line_width)

    @staticmethod
    def add_to(parser: argparse.ArgumentParser) -> None:
        """Adds the command line options that :meth:`of` reads."""
        group = parser.add_argument_group("pictures")
        group.add_argument(
            "--labels",
            choices=LABEL_KINDS,
            help="text at each object: nothing, the class's number, its name, or name and score "
            "(default: the most for which there is room)",
        )
        width_help = "width of the frames (default: by the sizes of objects and picture)"
        group.add_argument("--line-width", type=int, metavar="PX", help=width_help)
        legend_help = "list classes, colours and counts where they cover no object, or else in a "
        legend_help += "margin below the image (default: if the labels don't name every object)"
        action = argparse.BooleanOptionalAction
        group.add_argument("--legend", action=action, default=None, help=legend_help)

    @classmethod
    def of(cls, args: argparse.Namespace) -> DrawingOptions:
        """Reads the options from parsed arguments.

        Raises:
            ValueError: a line width below 1, or a legend is asked for in a video.
        """
        if args.legend and not args.input:
            raise ValueError("--legend goes with --input: a margin would change a video's size")
        if args.line_width is not None:
            check_positive("--line-width", args.line_width)
        return cls(args.labels, args.line_width, args.legend)
