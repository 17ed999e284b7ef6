"""Show a matplotlib figure in a lesson together with its alternative text."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 110


def show(figure: Figure | Axes, alt: str) -> None:
    """Display ``figure`` (or the figure of an Axes) as PNG with ``alt`` for those who can't see it.

    The text goes where screen readers and plain-text viewers look: the image's metadata and the
    output's text form. Raises ValueError if ``alt`` is empty: every figure says what it shows.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must say in a sentence what the figure shows, got {alt!r}")
    figure = figure if isinstance(figure, Figure) else figure.get_figure()
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    display(
        {"image/png": png.getvalue(), "text/plain": f"Figure: {alt}"},
        raw=True,
        metadata={"image/png": {"alt": alt}},
    )
