"""Options of demo.py for files that are too large for memory."""

from __future__ import annotations

import argparse
import dataclasses

# Larger images are scanned. This many pixels take 300 MB decoded, and several images are in memory.
MOST_PIXELS = 100_000_000


@dataclasses.dataclass(frozen=True)
class ScanOptions:
    """The user's options for scans.

    Attributes:
        force: scan every input, not only those that are too large.
        resume: continue an interrupted scan.
        geojson: file to write for the only input, a georeferenced one.
        with_pictures: write a reduced picture of each scan.
    """

    force: bool = False
    resume: bool = False
    geojson: str | None = None
    with_pictures: bool = True

    @staticmethod
    def add_to(parser: argparse.ArgumentParser) -> None:
        """Adds the command line options that :meth:`of` reads."""
        group = parser.add_argument_group(
            "large images",
            f"An image of more than {MOST_PIXELS // 1_000_000} megapixels, a JPEG 2000 and a "
            "georeferenced file are scanned: read by rows of tiles, in little memory.",
        )
        group.add_argument("--scan", action="store_true", help="scan every input")
        group.add_argument("--resume", action="store_true", help="continue an interrupted scan")
        help_text = "write the detections of one georeferenced file, in its coordinate system"
        group.add_argument("--geojson", metavar="FILE", help=help_text)
        help_text = "do not write a reduced picture of a scan"
        group.add_argument("--no-picture", action="store_true", help=help_text)

    @classmethod
    def of(cls, args: argparse.Namespace) -> ScanOptions:
        """Reads the options from parsed arguments.

        Raises:
            ValueError: an option of scans is given for a video or a camera.
        """
        if not args.input and (args.scan or args.resume or args.geojson):
            raise ValueError("--scan, --resume and --geojson go with --input")
        return cls(args.scan, args.resume, args.geojson, not args.no_picture)
