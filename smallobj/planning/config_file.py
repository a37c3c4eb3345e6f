"""A plan as a YAML file based on the config that it was made for."""

from __future__ import annotations

import os
from pathlib import Path

from smallobj.geometry.anchors import SideAnchors
from smallobj.planning.recommendation import Recommendation


def write_plan(plan: Recommendation, config_file: str, output: Path) -> None:
    """Writes the keys that a plan changes, with comments on the data behind them.

    Args:
        plan: for the config.
        config_file: the config, which becomes ``_BASE_``, relative to the output file.
        output: the file to write; its folder is created if it does not exist.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(plan_text(plan, os.path.relpath(config_file, output.parent)), "utf-8")


def plan_text(plan: Recommendation, base: str) -> str:
    """The YAML text; ``base`` is the value of ``_BASE_``."""
    survey = plan.survey
    lines = [
        f"# Planned by tools/plan.py for {', '.join(survey.names)}: {len(survey.boxes)} images, "
        f"{len(survey.longest)} objects.",
        f"_BASE_: {Path(base).as_posix()}",
        *_anchor_lines(plan),
        *_tile_lines(plan),
    ]
    return "\n".join(lines) + "\n"


def _anchor_lines(plan: Recommendation) -> list[str]:
    advice = plan.anchors
    if advice is None:
        return []
    before, after = advice.fit_before.recall[0.5], advice.fit_after.recall[0.5]
    if isinstance(advice.after, SideAnchors):
        before, after = (fit.shape_recall[0.5] for fit in (advice.fit_before, advice.fit_after))
    if not advice.worthwhile:
        return [
            f"# Anchors stay: fitted ones give a best possible recall of {after:.3f} at IoU 0.5, "
            f"these {before:.3f}."
        ]
    if isinstance(advice.after, SideAnchors):
        mean = f"{advice.fit_before.shape_mean:.3f} before, {advice.fit_after.shape_mean:.3f}"
        return [
            "MODEL:",
            "  YOLO:",
            f"    # Mean IoU of each object's best anchor, by shape: {mean} with these.",
            f"    ANCHORS: {[list(pair) for level in advice.after.sides for pair in level]}",
        ]
    return [
        "MODEL:",
        "  ANCHOR_GENERATOR:",
        f"    # Best possible recall at IoU 0.5: {before:.3f} before, {after:.3f} with these.",
        f"    SIZES: {[list(level) for level in advice.after.sizes]}",
        f"    ASPECT_RATIOS: {[list(level) for level in advice.after.ratios]}",
    ]


def _tile_lines(plan: Recommendation) -> list[str]:
    choice = plan.choice
    if choice is None:
        detections = _detection_lines(plan)
        return [
            "# Whole images: no tiles are planned.",
            *(["TEST:"] * bool(detections)),
            *detections,
        ]
    height, width = choice.largest_side
    covered, longer = f"{plan.covered:.0f}", plan.cover.longer
    shape = "whole image" if choice.whole else f"{plan.costs[0].passes:.1f} tiles an image"
    return [
        "INPUT:",
        "  TILE:",
        "    # Holds each covered object, and 95% of all objects at twice their length.",
        f"    SIZE: {plan.training_tile}",
        "TEST:",
        *_detection_lines(plan),
        "  TILE:",
        f"    # {shape}, {width}x{height} at most.",
        f"    SIZE: {choice.tile}",
        f"    # Objects up to {covered} px are seen whole; {longer} are longer.",
        f"    OVERLAP: {choice.overlap}",
        f"    BATCH_SIZE: {plan.batch_size}",
    ]


def _detection_lines(plan: Recommendation) -> list[str]:
    if plan.detections is None:
        return []
    return [
        f"  # The image that has most objects has {plan.survey.most_objects}.",
        f"  DETECTIONS_PER_IMAGE: {plan.detections}",
    ]
