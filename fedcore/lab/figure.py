"""Show a matplotlib figure in a lesson together with its alternative text."""

from __future__ import annotations

import base64
import io
import struct
from html import escape

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedcore.lab.style import html_block

DPI = 110
LEAST = 0.72  # of its size: a text of 10 points is then 11 pixels high; narrower pages scroll


def show(figure: Figure | Axes, alt: str) -> None:
    """Display ``figure`` (or the figure of an Axes) as PNG with ``alt`` for those who can't see it.

    The text goes where screen readers and plain-text viewers look: the picture's alternative text
    on the page, the image's metadata, and the output's text form. A page too narrow for the figure
    scrolls it sideways instead of making its letters too small to read.

    Raises ValueError if ``alt`` is empty: every figure says what it shows.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must say in a sentence what the figure shows, got {alt!r}")
    figure = figure if isinstance(figure, Figure) else figure.get_figure()
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    data = base64.b64encode(png.getvalue()).decode()
    display(
        # JupyterLab shows the HTML: from image/png alone it makes a picture without its alt.
        {"text/html": _on_page(png.getvalue(), data, alt), "image/png": data}
        | {"text/plain": f"Figure: {alt}"},
        raw=True,
        metadata={"image/png": {"alt": alt}},
    )


def _on_page(png: bytes, data: str, alt: str) -> str:
    """The picture in its frame, as HTML. Its width stands in bytes 16 to 19 of every PNG file."""
    (width,) = struct.unpack(">I", png[16:20])
    size = f"width: {width}px; min-width: {LEAST * width:.0f}px"
    image = (
        f'<img alt="{escape(alt, quote=True)}" style="{size}" src="data:image/png;base64,{data}">'
    )
    return html_block(
        f'<div class="fc-figure" tabindex="0" role="group" aria-label="Figure">{image}</div>'
    )
