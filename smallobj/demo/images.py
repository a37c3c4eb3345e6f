"""Detection in image files that fit into memory, with a picture for each file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tqdm import tqdm

from smallobj.data.image_file import read_image
from smallobj.demo.run import DemoRun


class ImageJob(NamedTuple):
    """An image file to process.

    Attributes:
        path: path of the image file.
        picture: path of the picture with boxes to write.
        image_id: id of the image in the results.
    """

    path: str
    picture: str
    image_id: int


def detect_images(run: DemoRun, jobs: Sequence[ImageJob]) -> None:
    """Detects objects in image files and writes a picture for each; skips broken files."""
    planned = {job.picture for job in jobs}
    predictions = run.predictor.stream([job.path for job in jobs])
    bar = tqdm(predictions, total=len(jobs), unit="image")
    for prediction, job in zip(bar, jobs, strict=True):
        if prediction.instances is None:
            run.skip(prediction.error)
            continue
        # With a focus network that chose no region, only the reduced image was decoded.
        image = prediction.image
        if image is None:
            image = read_image(job.path, conversion=run.predictor.conversion)
        picture = run.draw(image, prediction.instances, prediction.tiles)
        run.write_picture(job.picture, picture, planned)
        run.log.add(job.path, job.image_id, prediction.instances)
