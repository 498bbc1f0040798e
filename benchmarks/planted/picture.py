"""One small picture: the screen's ROC curves, and its score against the truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.planted.curves import auroc, roc
from benchmarks.planted.evaluate import POSITIVE_FROM, screen_scores
from benchmarks.planted.rows import Row, core
from benchmarks.planted.specs import HEADS, KINDS

_COLOURS: Final = {"gap": "#2a6f97", "mlp": "#c8553d"}
_MARKERS: Final = dict(zip(KINDS, "osD^v", strict=True))
_GREY: Final = "#8a8a8a"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Writes the picture as SVG; the same rows give the same bytes."""
    import matplotlib

    matplotlib.use("svg")
    # Text stays text, and ids do not change from run to run, so that a new picture is a small diff.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "planted", "font.size": 9})
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    for head in HEADS:
        positives, negatives = screen_scores(rows, head)
        area = auroc(positives, negatives)
        if area is not None:
            points = roc(positives, negatives)
            label = f"{head.upper()} head, area {area:.3f}"
            left.plot(points[:, 0], points[:, 1], color=_COLOURS[head], label=label, drawstyle="steps-post")
        for kind, marker in _MARKERS.items():
            marked = [r for r in core(rows, head) if r.kind == kind and r.screen_score is not None]
            scores = [row.screen_score for row in marked]
            reliances = [row.reliance for row in marked]
            right.scatter(reliances, scores, s=22, color=_COLOURS[head], marker=marker, linewidths=0)
    left.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    left.set(
        xlabel="innocent classes above the threshold",
        ylabel=f"classes with R ≥ {POSITIVE_FROM} above it",
        title="The screen by itself",
    )
    innocent = [r.screen_score for r in core(rows) if r.is_innocent and r.screen_score is not None]
    if innocent:
        right.axhspan(min(innocent), max(innocent), color=_GREY, alpha=0.15, linewidth=0)
        right.text(0.99, max(innocent), "range of innocent classes", ha="right", va="bottom", color=_GREY)
    for kind, marker in _MARKERS.items():
        right.scatter([], [], s=22, color=_GREY, marker=marker, linewidths=0, label=kind)
    right.set(
        xlabel="R, accuracy lost without the shortcut",
        ylabel="density share below its reference",
        title="Its score against the truth",
    )
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, loc="lower right" if axes is left else "upper left", fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
