"""Figures of the lessons: data in, matplotlib Axes out.

Each function draws into ``ax``, or into a new figure of laptop width, and returns the Axes. Colours
follow Okabe and Ito (2008), told apart by colour-blind readers too; two of theirs, orange and sky
blue, are darker here, since theirs are too pale for a line on white (2.3 : 1; here 3 : 1 and more).
Line style, marker or text always says the same once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fedcore import partition
from fedcore._validate import as_float_array, as_int, as_real, describe
from fedcore.history import History, RoundRecord

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
BROWN, SKY, BLACK, YELLOW = "#753B07", "#3293FC", "#000000", "#F0E442"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, BROWN, SKY, BLACK, YELLOW)  # yellow: areas only

SIZE = (7.0, 3.5)  # inches
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FEW = 20  # up to so many bars get their value written on them


def accuracy_curves(
    histories: Mapping[str, History], target: float | None = None, ax: Axes | None = None
) -> Axes:
    """Test accuracy (%) against rounds, one line for each {label: History}, round 0 included.

    With ``target``, in [0, 1], a horizontal line stands there, and the legend says in which round
    each run first reached it. Without labels to tell apart, pass {"": history}.
    """
    if not isinstance(histories, Mapping) or not histories:
        raise TypeError(f"histories must be a dict of label: History, got {describe(histories)}")
    for label, history in histories.items():
        if not isinstance(history, History):
            raise TypeError(f"histories[{label!r}] must be a History, got {describe(history)}")
    ax = _axes(ax)
    styles = zip(cycle(PALETTE[:7]), cycle(MARKERS), cycle(LINES), strict=False)
    for (label, history), (color, marker, line) in zip(histories.items(), styles, strict=False):
        rounds = np.concatenate([[0], history.round])
        accuracy = 100 * np.concatenate([[history.initial_accuracy], history.accuracy])
        every = max(1, len(rounds) // 10)
        label = _with_crossing(label, history, target)
        look = {"color": color, "marker": marker, "markevery": every, "markersize": 5}
        ax.plot(rounds, accuracy, line, label=label, **look)
    if target is not None:
        _target_line(ax, as_real("target", target, 0, 1))
    ax.set(xlabel="communication round", ylabel="test accuracy (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.grid(alpha=0.3)
    if any(histories) or target is not None:
        ax.legend(loc="best")
    return ax


def digits(
    x: np.ndarray,
    y: np.ndarray | Sequence[int] | None = None,
    predicted: np.ndarray | Sequence[int] | None = None,
    columns: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Square images x (n, side * side), dark ink on white, in rows of ``columns``.

    Above each image stands its label y, or "label → predicted" where the two differ, in
    vermillion and with a cross.
    """
    x = as_float_array("x", x, ndim=2)
    side = round(x.shape[1] ** 0.5)
    if side * side != x.shape[1] or len(x) == 0:
        raise ValueError(f"x must hold square images, (n, side * side), n >= 1, got {x.shape}")
    titles = _titles(len(x), y, predicted)
    columns = min(as_int("columns", columns, minimum=1), len(x))
    rows = -(-len(x) // columns)
    gap, head = side // 7, side // 2 if any(titles) else side // 7
    canvas = np.full((rows * (side + head), columns * (side + gap) - gap), np.nan)
    if ax is None:
        width = min(SIZE[0], 0.9 * columns)
        ax = _axes(None, (width, width * canvas.shape[0] / canvas.shape[1]))
    for i, image in enumerate(x):
        top, left = i // columns * (side + head) + head, i % columns * (side + gap)
        canvas[top : top + side, left : left + side] = image.reshape(side, side)
        color = VERMILLION if "→" in titles[i] else "black"
        ax.text(left + side / 2, top - 1, titles[i], ha="center", va="bottom", color=color)
    ax.imshow(canvas, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return ax


def class_counts(
    y: np.ndarray, parts: Sequence[np.ndarray], ax: Axes | None = None, colorbar: bool = True
) -> Axes:
    """Who holds what: a map of the examples of each class (rows) at each client (columns).

    y: labels (n,); parts: as from ``partition``. With few clients the numbers stand in the map.
    """
    y = partition._as_labels(y)
    parts = partition.check(parts, len(y))
    n_classes = int(y.max()) + 1
    counts = np.stack([np.bincount(y[part], minlength=n_classes) for part in parts], axis=1)
    ax = _axes(ax)
    image = ax.imshow(counts, cmap="Blues", aspect="auto", vmin=0, interpolation="nearest")
    if len(parts) <= 12:
        _write_counts(ax, counts)
    elif colorbar:
        ax.figure.colorbar(image, ax=ax, label="examples", pad=0.02)
    ax.set(xlabel="client", ylabel="class")
    ax.set_yticks(range(n_classes))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    return ax


def weights_bars(record: RoundRecord, ax: Axes | None = None) -> Axes:
    """The weight n_k / n (%) of each client of one round; a line shows equal weights, 1 / m.

    Up to 20 clients, the number of examples stands on each bar.
    """
    if not isinstance(record, RoundRecord):
        raise TypeError(f"record must be a RoundRecord, got {describe(record)}")
    if not record.clients:
        raise ValueError(f"record must have clients, but round {record.round} was abandoned")
    ax = _axes(ax)
    places, weights = np.arange(len(record.clients)), 100 * np.array(record.weights)
    bars = ax.bar(places, weights, color=BLUE, label="weight $n_k / n$")
    if len(places) <= FEW:
        ax.bar_label(bars, [f"{n:,}" for n in record.n_examples], padding=2, fontsize=9)
        ax.set_xticks(places, record.clients)
    else:
        ax.set_xticks([])
    equal = 100 / len(places)
    line = ax.axhline(
        equal, color=VERMILLION, ls="--", label=f"equal weights, $1 / m$ = {equal:.1f} %"
    )
    ax.set(
        xlabel=f"client (of the {len(places)} in round {record.round})",
        ylabel="weight in the average (%)",
        ylim=(0, max(weights.max(), equal) * 1.3),
    )
    ax.legend(handles=[bars, line], loc="upper right", ncols=2)
    return ax


def _axes(ax: Axes | None, size: tuple[float, float] = SIZE) -> Axes:
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    elif not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {describe(ax)}")
    return ax


def _with_crossing(label: str, history: History, target: float | None) -> str:
    if target is None:
        return label
    first = history.rounds_to(target)
    reached = "not reached" if first is None else f"round {first}"
    return f"{label}: {reached}" if label else reached


def _target_line(ax: Axes, target: float) -> None:
    ax.axhline(100 * target, color="0.4", lw=1, ls=(0, (1, 2)), label=f"target {100 * target:g} %")


def _titles(n: int, y, predicted) -> list[str]:
    for name, labels in (("y", y), ("predicted", predicted)):
        if labels is not None and np.shape(labels) != (n,):
            raise ValueError(f"{name} must hold {n} labels, one an image, got {describe(labels)}")
    if y is None and predicted is None:
        return [""] * n
    if y is None or predicted is None:
        return [str(label) for label in (predicted if y is None else y)]
    pairs = zip(y, predicted, strict=True)
    return [str(a) if a == b else f"{a} → {b} ✗" for a, b in pairs]


def _write_counts(ax: Axes, counts: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(counts):
        color = "white" if value > 0.6 * counts.max() else "black"
        ax.text(column, row, f"{value:,}", ha="center", va="center", color=color, fontsize=8)
