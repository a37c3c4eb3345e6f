"""Detection in image files that fit into memory, with a picture of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tqdm import tqdm

from smallobj.data.image_file import read_image
from smallobj.demo.run import DemoRun
from smallobj.results.picture_files import write_picture


class ImageJob(NamedTuple):
    """An image file to look at.

    Attributes:
        path: of the file.
        picture: where the picture with boxes goes.
        image_id: in the results.
    """

    path: str
    picture: str
    image_id: int


def detect_images(run: DemoRun, jobs: Sequence[ImageJob]) -> None:
    """Detects in image files and writes a picture of each; broken ones are skipped."""
    predictions = run.predictor.stream([job.path for job in jobs])
    bar = tqdm(predictions, total=len(jobs), unit="image")
    for prediction, job in zip(bar, jobs, strict=True):
        if prediction.instances is None:
            run.skip(prediction.error)
            continue
        # A focus network may have looked at a reduced image only, and found nothing in it.
        image = read_image(job.path) if prediction.image is None else prediction.image
        write_picture(job.picture, run.draw(image, prediction.instances, prediction.tiles))
        run.written.append(job.picture)
        run.log.add(job.path, job.image_id, prediction.instances)
