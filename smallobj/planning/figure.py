"""A plan as a figure: object sizes, anchors, tiles on an image, costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter

from smallobj.geometry.tiling import plan_tiles
from smallobj.planning.recommendation import Recommendation

_OBJECTS, _BEFORE, _AFTER, _INK = "#9db4c8", "#c0504d", "#1f4e79", "#333333"
_MOST_POINTS = 5000


def draw_plan(plan: Recommendation, output: Path) -> None:
    """Writes a figure of a plan, in the format of the suffix of ``output``.

    Raises:
        ValueError: Matplotlib cannot write the format.
    """
    figure = Figure(figsize=(15, 10.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _draw_anchors(axes[0, 0], plan)
    _draw_lengths(axes[0, 1], plan)
    _draw_tiles(axes[1, 0], plan)
    _draw_costs(axes[1, 1], plan)
    figure.suptitle(
        f"Plan for {', '.join(plan.survey.names)}: {len(plan.survey.boxes):,} images, "
        f"{len(plan.survey.longest):,} objects",
        fontsize=15,
    )
    for subplot in axes.flat:
        subplot.spines[["top", "right"]].set_visible(False)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


def _log_axis(axes: Axes, low: float, high: float, *names: str) -> None:
    """Makes axes logarithmic, with ticks at 10, 20, 50, 100, ... in plain numbers."""
    ticks = [m * 10.0**e for e in range(6) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    for name in names:
        axis = getattr(axes, f"{name}axis")
        getattr(axes, f"set_{name}scale")("log")
        getattr(axes, f"set_{name}lim")(low, high)
        axis.set_ticks(ticks)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _draw_anchors(axes: Axes, plan: Recommendation) -> None:
    sides = plan.survey.sides
    shown = sides[np.linspace(0, len(sides) - 1, min(len(sides), _MOST_POINTS)).astype(int)]
    axes.scatter(
        shown[:, 0], shown[:, 1], s=7, color=_OBJECTS, alpha=0.55, linewidths=0, label="objects"
    )
    drawn = [shown]
    if plan.anchors is not None:
        before, after = plan.anchors.before.all_shapes, plan.anchors.after.all_shapes
        kept = "fitted" if plan.anchors.worthwhile else "fitted, not used"
        for shapes, fit, color, marker, name in (
            (before, plan.anchors.fit_before, _BEFORE, "s", "the config's anchors"),
            (after, plan.anchors.fit_after, _AFTER, "o", kept),
        ):
            label = f"{name}: recall {fit.recall[0.5]:.3f}, mean IoU {fit.mean:.3f}"
            axes.scatter(
                shapes[:, 0], shapes[:, 1], s=75, marker=marker, facecolors="none",
                edgecolors=color, linewidths=2, label=label,
            )  # fmt: skip
            drawn.append(shapes)
    together = np.concatenate(drawn)
    _log_axis(axes, together.min() * 0.85, together.max() * 1.2, "x", "y")
    axes.set(xlabel="width, px", ylabel="height, px", title="Shapes of objects and anchors")
    axes.legend(loc="upper left", frameon=True, framealpha=0.9, fontsize=9)


def _draw_lengths(axes: Axes, plan: Recommendation) -> None:
    longest = plan.survey.longest
    edges = np.geomspace(max(longest.min(), 1) * 0.95, longest.max() * 1.05, 31)
    axes.hist(longest, edges.tolist(), color=_OBJECTS, edgecolor="white", linewidth=0.5)
    top = axes.get_ylim()[1] * 1.35
    axes.set_ylim(0, top)
    marks = {
        f"{name} {np.quantile(longest, share):.0f}": (float(np.quantile(longest, share)), _INK)
        for name, share in {"median": 0.5, "95%": 0.95, "99.5%": 0.995, "longest": 1.0}.items()
    }
    if plan.choice is not None and not plan.choice.whole:
        marks[f"overlap {plan.choice.overlap}"] = (plan.choice.overlap, _AFTER)
    # Each label has its own row, the rightmost the highest, so no line crosses a label.
    for index, (label, (position, color)) in enumerate(reversed(marks.items())):
        level = top * (0.98 - 0.05 * index)
        bold = color == _AFTER
        axes.vlines(position, 0, level, color=color, lw=2 if bold else 1, ls="-" if bold else ":")
        axes.text(
            position, level, f"{label} ", color=color, ha="right", va="top", fontsize=10,
            fontweight="bold" if bold else "normal",
        )  # fmt: skip
    high = max(position for position, _ in marks.values()) * 1.1
    _log_axis(axes, max(longest.min(), 1) * 0.9, high, "x")
    axes.set(xlabel="longer side of an object, px", ylabel="objects", title="Sizes of objects")


def _draw_tiles(axes: Axes, plan: Recommendation) -> None:
    index = plan.survey.example()
    height, width = (int(v) for v in plan.survey.image_sizes[index])
    boxes = plan.survey.boxes[index]
    axes.add_patch(Rectangle((0, 0), width, height, facecolor="#f2f2f2", edgecolor=_INK, lw=1.5))
    title = "whole image, one pass"
    if plan.choice is not None:
        tiles = plan_tiles((height, width), plan.choice.tile, plan.choice.overlap)
        for x0, y0, x1, y1 in tiles.tolist():
            axes.add_patch(
                Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor=_AFTER, alpha=0.10, lw=0)
            )
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=_AFTER, lw=1.1))
        side = tiles[0, 2:] - tiles[0, :2]
        if len(tiles) > 1:
            title = f"{len(tiles)} tiles of {side[0]}x{side[1]}, darker where they overlap"
    for x0, y0, x1, y1 in boxes.tolist():
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=_BEFORE, lw=1.4))
    margin = 0.02 * max(height, width)
    axes.set(
        xlim=(-margin, width + margin), ylim=(height + margin, -margin), aspect="equal",
        xlabel="px", title=f"{width}x{height} with its {len(boxes)} objects: {title}",
    )  # fmt: skip


def _draw_costs(axes: Axes, plan: Recommendation) -> None:
    gflops = [cost.flops / 1e9 for cost in plan.costs]
    colors = [_AFTER if plan.choice is not None else _OBJECTS] + [_OBJECTS] * (len(gflops) - 1)
    rows = [-float(row) for row in range(len(gflops))]
    axes.barh(rows, gflops, color=colors, height=0.5)
    for row, value, cost in zip(rows, gflops, plan.costs, strict=True):
        passes = f"{cost.passes:.1f}".removesuffix(".0")
        axes.text(0, row + 0.29, f" {cost.name}", va="bottom", fontsize=10, color=_INK)
        axes.text(
            value, row,
            f"  {value:,.0f}  ({value / gflops[0]:.2f}x, {passes} pass{'es' * (passes != '1')})",
            va="center", fontsize=10, color=_INK,
        )  # fmt: skip
    axes.set_yticks([])
    axes.set(
        xlim=(0, max(gflops) * 1.4), ylim=(rows[-1] - 0.5, 0.7), title="Arithmetic",
        xlabel="GFLOP per image, a multiply-add counts as two",
    )  # fmt: skip
