"""The evaluator of the 2021 Small Object AI Challenge's mAP50."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.utils.logger import create_small_table

from smallobj.evaluation.evaluators.detection_evaluator import DetectionEvaluator
from smallobj.evaluation.metrics.challenge import challenge_map
from smallobj.evaluation.reading.tables import EvaluationSet


class ChallengeEvaluator(DetectionEvaluator):
    """mAP50 by the challenge's rules (``challenge_map``), over all classes of the dataset.

    Crowd regions, which the challenge does not have, are left out of the ground truth.
    """

    headline = "challenge/mAP50"

    @configurable
    def __init__(
        self, dataset_name: str, *, plus_one: bool = True, fall_back: bool = False
    ) -> None:
        """
        Args:
            dataset_name: a registered dataset.
            plus_one: as in ``challenge_map``.
            fall_back: as in ``challenge_map``.
        """
        super().__init__(dataset_name)
        self.plus_one = plus_one
        self.fall_back = fall_back

    @classmethod
    def from_config(cls, cfg: CfgNode, dataset_name: str, output_dir: str) -> dict[str, Any]:
        rules = cfg.TEST.CHALLENGE
        return {
            "dataset_name": dataset_name,
            "plus_one": rules.PLUS_ONE,
            "fall_back": rules.FALL_BACK,
        }

    def score(self, data: EvaluationSet) -> dict[str, dict[str, float]]:
        """{"challenge": {"mAP50", "AP50-<class>" ...}} in percent."""
        result = challenge_map(data, plus_one=self.plus_one, fall_back=self.fall_back)
        metrics = {"mAP50": result.mean * 100}
        self.logger.info("Challenge's metric:\n" + create_small_table(metrics))
        for name, ap in zip(self.class_names, result.per_class, strict=True):
            metrics[f"AP50-{name}"] = float(ap) * 100
        return {"challenge": metrics}
