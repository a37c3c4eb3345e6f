"""A plan as text for a terminal."""

from __future__ import annotations

import numpy as np
from tabulate import tabulate

from smallobj.costs.memory import MIB
from smallobj.data.long_objects import counts_text, share_text
from smallobj.data.survey import Survey
from smallobj.geometry.anchors import AnchorFit, Anchors, SideAnchors
from smallobj.planning.anchor_advice import AnchorAdvice
from smallobj.planning.recommendation import TEST_PER_TRAINING, Recommendation

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.995, 1.0)
# A note is printed if an object this many times longer than nearly all others sets the overlap.
_OUTLIER = 1.3
_BARS = 40


def describe(plan: Recommendation) -> str:
    """The plan as text, about thirty lines."""
    parts = [_objects(plan)]
    if plan.choice is not None:
        parts += [_tiles(plan), _covers(plan)]
    if plan.anchors is not None:
        parts.append(_anchors(plan.anchors))
    if plan.detections is not None:
        parts.append(
            f"TEST.DETECTIONS_PER_IMAGE {plan.detections}: an image has {plan.survey.most_objects} "
            "objects"
        )
    if plan.notes:
        parts.append(_notes(plan))
    parts.append(_costs(plan))
    return "\n\n".join(parts)


def _objects(plan: Recommendation) -> str:
    survey = plan.survey
    sizes, counts = np.unique(survey.image_sizes, axis=0, return_counts=True)
    common = sizes[counts.argmax()]
    shape = f"{common[1]}x{common[0]}" + (f" and {len(sizes) - 1} other sizes" * (len(sizes) > 1))
    frame = " as the config resizes them for the network" if survey.resized else ""
    lines = [
        f"{', '.join(survey.names)}: {len(survey.boxes)} images of {shape}{frame}, "
        f"{len(survey.longest)} objects",
        "longer side of the objects, px",
        tabulate(
            [[f"{np.quantile(survey.longest, q):.0f}" for q in _QUANTILES]],
            headers=["least", *(f"{q:.1%}".replace(".0%", "%") for q in _QUANTILES[1:-1]), "most"],
        ),
        _histogram(survey.longest),
    ]
    return "\n".join(lines)


def _histogram(lengths: np.ndarray) -> str:
    # Sizes span orders of magnitude, so bin widths grow by a constant factor.
    low, high = np.floor(lengths.min()), np.ceil(lengths.max()) + 1
    edges = np.unique(np.round(np.geomspace(max(low, 1), high, 9)))
    counts, _ = np.histogram(lengths, edges)
    bars = np.round(counts / counts.max() * _BARS).astype(int)
    return "\n".join(
        f"  {a:5.0f} - {b:<5.0f} {count:7d}  {'#' * bar}"
        for a, b, count, bar in zip(edges, edges[1:], counts, bars, strict=False)
    )


def _tiles(plan: Recommendation) -> str:
    choice, cost = plan.choice, plan.costs[0]
    assert choice is not None
    height, width = choice.largest_side
    name = "the whole image in one pass" if choice.whole else f"tiles of at most {choice.tile} px"
    lines = [
        f"recommended: {name} (largest {width}x{height}), overlap {choice.overlap} px, "
        f"{cost.passes:.1f} tiles an image; training tiles of {plan.training_tile} px",
        *_long_objects(plan),
    ]
    if plan.limited:
        lines.append(
            f"  the budget allows larger tiles; these are at most {TEST_PER_TRAINING} x the "
            "training tile, beyond which accuracy falls (docs/normalisation.md)"
        )
    if plan.memory is not None:
        memory = plan.memory
        lines.append(
            f"  memory: {memory.peak / MIB:.0f} MiB measured at that size; about "
            f"{memory.line.base / MIB:.0f} MiB + {memory.line.per_pixel:.0f} bytes a pixel; "
            f"{plan.batch_size} in a batch"
        )
    usual = np.quantile(plan.survey.longest, 0.995)
    if plan.covered > _OUTLIER * usual and not choice.whole:
        lines.append(
            f"  note: 99.5% of the objects are at most {usual:.0f} px long, and the few that are "
            f"longer (up to {plan.covered:.0f} px) set the overlap; see --cover below"
        )
    return "\n".join(lines)


def _long_objects(plan: Recommendation) -> list[str]:
    """What happens to objects that are longer than promised, than a test tile, a training tile."""
    survey, choice, longest = plan.survey, plan.choice, plan.survey.longest
    assert choice is not None
    if choice.whole:
        return ["  nothing is cut: every object lies whole in its only tile"]
    lines = [f"  an object of up to {plan.covered:.0f} px lies whole in a tile"]
    is_longer = longest > plan.covered
    if not is_longer.any():
        return [f"{lines[0]}: this holds for all {len(longest)}"]
    never = int((longest > choice.tile).sum())
    untrained = int((longest > plan.training_tile).sum())
    return [
        *lines,
        f"  {share_text(is_longer)} are longer{_classes(survey, is_longer)}: tiles cut them unless "
        "they happen to lie whole in one;",
        f"  {never} of them are longer than a test tile: found in pieces or not at all; "
        f"{untrained} are longer than a training tile:",
        "  their pieces train as objects if enough is visible (INPUT.TILE.MIN_VISIBLE), else as "
        "background",
    ]


def _classes(survey: Survey, chosen: np.ndarray) -> str:
    if survey.classes is None:
        return ""
    return f" ({counts_text(survey.classes[chosen], survey.class_names)})"


def _notes(plan: Recommendation) -> str:
    return "\n".join(f"note: {note}" for note in plan.notes)


def _covers(plan: Recommendation) -> str:
    rows = []
    for row in plan.covers:
        rest = ["no tile fits the budget", "", ""]
        if row.choice is not None and row.cost is not None:
            ratio = row.cost.flops / plan.costs[0].flops
            rest = [str(row.choice.tile), f"{row.cost.passes:.1f}", f"{ratio:.2f}"]
        rows.append([f"{row.share:g}", row.overlap, row.longer, *rest])
    return tabulate(
        rows, headers=["--cover", "overlap", "longer objects", "tile", "tiles/image", "cost"]
    )


def _anchors(advice: AnchorAdvice) -> str:
    rows = [
        ["config", *_fit_row(advice.fit_before)],
        ["fitted", *_fit_row(advice.fit_after)],
    ]
    if advice.unseen_before is not None and advice.unseen_after is not None:
        rows += [
            ["config, every second image", *_fit_row(advice.unseen_before)],
            ["fitted to the others, same images", *_fit_row(advice.unseen_after)],
        ]
    verdict = (
        "the fitted anchors are better, also on held-out images: planned"
        if advice.worthwhile
        else "the fitted anchors are not clearly better: the config's are kept"
    )
    headers = ["anchors", "recall@0.5", "recall@0.7", "mean IoU", "shape@0.5", "shape mean"]
    table = tabulate(rows, headers=headers)
    rule = (
        "The RPN takes anchors from IoU 0.7\non as positive, and the best anchor of each object"
        if isinstance(advice.before, Anchors)
        else "YOLO takes the best anchor by\nshape at any IoU, and shifts it within its cell"
    )
    return (
        "best possible recall: share of objects whose best anchor, on its grid, reaches the IoU\n"
        f"(shape: as if an anchor were centred on each object). {rule}\n"
        f"{table}\n{verdict}\n{_listed('config', advice.before)}\n{_listed('fitted', advice.after)}"
    )


def _fit_row(fit: AnchorFit) -> list[str]:
    values = [fit.recall[0.5], fit.recall[0.7], fit.mean, fit.shape_recall[0.5], fit.shape_mean]
    return [f"{value:.3f}" for value in values]


def _listed(name: str, anchors: Anchors | SideAnchors) -> str:
    if isinstance(anchors, SideAnchors):
        return f"  {name}: ANCHORS {[list(pair) for level in anchors.sides for pair in level]}"
    sizes = [list(level) for level in anchors.sizes]
    ratios = [list(level) for level in anchors.ratios]
    return f"  {name}: SIZES {sizes} ASPECT_RATIOS {ratios}"


def _costs(plan: Recommendation) -> str:
    base = plan.costs[0].flops
    rows = [
        [
            cost.name,
            f"{cost.passes:.1f}",
            f"{cost.pixels / 1e6:.2f}",
            f"{cost.flops / 1e9:.0f}",
            f"{cost.flops / base:.2f}",
        ]
        for cost in plan.costs
    ]
    share = plan.counted.per_region / 1e9
    return (
        tabulate(rows, headers=["cost of an image", "passes", "Mpixels", "GFLOP", "ratio"])
        + f"\na multiply-add counts as two; each pass includes {share:.1f} GFLOP for proposals;\n"
        "RoIAlign, NMS, pooling and activations are left out. Accuracy must be tested separately"
    )
