"""Detectron2's own mapper, which resizes whole images, with a check of what it can't read."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import detectron2.data
from detectron2.config import CfgNode, configurable

from smallobj.data.mappers.registry import MAPPER_REGISTRY
from smallobj.images.kinds import read_start
from smallobj.images.tiff_tags import read_tags

_BITS_TAG = 0x0102


@MAPPER_REGISTRY.register(name="DatasetMapper")
class DatasetMapper(detectron2.data.DatasetMapper):
    """Detectron2's mapper for images of 8 bits, which resizes each by INPUT.MIN_SIZE_TRAIN.

    It reads files by itself, without INPUT.BANDS and INPUT.BIT_DEPTH.
    """

    @configurable
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        if cfg.INPUT.BANDS:
            raise ValueError(
                "INPUT.MAPPER DatasetMapper is Detectron2's own and reads no INPUT.BANDS; got "
                f"{tuple(cfg.INPUT.BANDS)}; use TileMapper"
            )
        return super().from_config(cfg, is_train)

    def __call__(self, dataset_dict: dict[str, Any]) -> Any:
        """As Detectron2's.

        Raises:
            ValueError: the file has more than 8 bits, of which Detectron2 makes black or white.
        """
        path = dataset_dict["file_name"]
        if _has_more_bits(path):
            raise ValueError(
                f"{path}: INPUT.MAPPER DatasetMapper is Detectron2's own and reads 8 bits; for "
                "more use TileMapper"
            )
        return super().__call__(dataset_dict)


def _has_more_bits(path: str) -> bool:
    start = read_start(path)
    if start.kind != "TIFF":
        return start.is_deep
    # Of a broken file Detectron2 says why.
    with suppress(ValueError), open(path, "rb") as stream:
        return max(read_tags(stream, (_BITS_TAG,)).get(_BITS_TAG, (1,))) > 8
    return False
