"""The network map: the server, its clients, and what crosses the network between them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import anywidget
import traitlets

from fedcore._validate import as_int, describe
from fedcore.history import History, RoundRecord
from fedcore.lab.frames import as_frames, positions
from fedcore.lab.style import css, esm, size

BLUE, ORANGE, INK, SOFT, PAPER = "#0072B2", "#C04F00", "#212121", "#8A8A8A", "#FFFFFF"
RED = "#B03A00"


class NetworkMap(anywidget.AnyWidget):
    """The server in the middle, clients around it; who was asked, and the bytes both ways.

    Whoever was asked and sent nothing is drawn crossed out, on a dashed line.

    rounds: a History, records, or frames of ``lab.data_frame``; may be empty and filled by ``add``,
    which also serves as ``on_round`` of ``run_federation``. n_clients: how many there are (default:
    as many as the History knows, or as appear). names: a word for each client. title: the heading.

    Buttons step through the rounds and play them; a client is chosen with a click or the arrow keys
    and tells what it did. The same facts stand beside the map in words.
    """

    _esm = esm("common.js", "network.js")
    _css = css()

    title = traitlets.Unicode().tag(sync=True)
    places = traitlets.List().tag(sync=True)  # (x, y) of each client
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    frames = traitlets.List().tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)  # the frame on the screen

    def __init__(
        self,
        rounds: Any = (),
        n_clients: int | None = None,
        *,
        names: Sequence[str] | None = None,
        title: str = "Network map",
    ):
        frames = as_frames(rounds)
        n = _n_clients(rounds, frames, n_clients, names)
        super().__init__(
            title=title, places=positions(n), names=_check_names(names, n), frames=frames
        )

    def add(self, record: RoundRecord | dict[str, Any]) -> None:
        """Append a round and show it."""
        (frame,) = as_frames(record)
        _check_ids([frame], len(self.places))
        self.frames = [*self.frames, frame]
        self.index = len(self.frames) - 1

    def show(self, index: int) -> None:
        """Show the frame at ``index``, counted from 0."""
        self.index = as_int("index", index, minimum=0, maximum=max(0, len(self.frames) - 1))

    def text(self) -> str:
        """What the map shows, in words."""
        if not self.frames:
            return f"{len(self.places)} clients around a server. No round yet."
        frame = self.frames[self.index]
        return f"{frame['title']}: {frame['traffic']}. {frame['text']}"


def render_network_svg(
    rounds: History | RoundRecord | dict[str, Any],
    n_clients: int | None = None,
    *,
    index: int = -1,
    width: int = 480,
) -> str:
    """The network map as a picture without a widget: an SVG document as text.

    rounds, n_clients: as for NetworkMap; index: which of the rounds. For a README, a page without a
    kernel, or a file. It has a title and a description for those who can't see it.
    """
    frames = as_frames(rounds)
    if not frames:
        raise ValueError("rounds must hold at least one round, got none")
    places = positions(_n_clients(rounds, frames, n_clients, None))
    frame = frames[index]
    half = as_int("width", width, minimum=100) / 2
    reach = half - 16
    active = {client["id"]: client for client in frame["clients"]}
    lines, dots = [], []
    for k, (x, y) in enumerate(places):
        cx, cy = half + reach * x, half + reach * y
        if k in active:
            lines.append(_svg_link(cx, cy, half, active[k]))
        dots.append(_svg_client(cx, cy, k, active.get(k), _radius(len(places), width)))
    caption = f"{frame['title']}: {frame['traffic']}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {width + 30}" '
        f'width="{width}" style="max-width:100%;height:auto" role="img" '
        'font-family="sans-serif" font-size="13">'
        f"<title>{escape(caption)}</title><desc>{escape(frame['text'])}</desc>"
        f'<rect width="100%" height="100%" fill="{PAPER}"/>{"".join(lines)}{"".join(dots)}'
        f'<rect x="{half - 27:g}" y="{half - 15:g}" width="54" height="30" rx="5" fill="{INK}"/>'
        f'<text x="{half:g}" y="{half + 5:g}" text-anchor="middle" fill="{PAPER}">server</text>'
        f'<text x="{half:g}" y="{width + 18}" text-anchor="middle" fill="{INK}">'
        f"{escape(caption)}</text></svg>"
    )


def _svg_link(x: float, y: float, half: float, client: dict[str, Any]) -> str:
    dashes = "" if client["up"] else ' stroke-dasharray="6 5"'
    return (
        f'<line x1="{half:g}" y1="{half:g}" x2="{x:.1f}" y2="{y:.1f}" stroke="{_color(client)}" '
        f'stroke-width="1.6"{dashes}/>'
    )


def _svg_client(x: float, y: float, k: int, client: dict[str, Any] | None, radius: float) -> str:
    if client is None:
        return (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{PAPER}" stroke="{SOFT}">'
            f"<title>client {k}: not asked</title></circle>"
        )
    told = f"client {k}: {size(client['down'])} down, {size(client['up'])} up"
    color = _color(client)
    dot = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius * 1.25:.1f}" '
        f'fill="{color if client["up"] else PAPER}" '
        f'stroke="{color}"><title>{escape(told)}</title></circle>'
    )
    return dot if client["up"] else dot + _svg_cross(x, y, 0.6 * radius)


def _svg_cross(x: float, y: float, r: float) -> str:
    """Over whoever sent nothing."""
    falling, rising = (
        f"M{x - r:.1f},{y - way * r:.1f}L{x + r:.1f},{y + way * r:.1f}" for way in (1, -1)
    )
    return f'<path d="{falling}{rising}" stroke="{RED}" stroke-width="1.8"/>'


def _color(client: dict[str, Any]) -> str:
    return RED if not client["up"] else BLUE if client["down"] else ORANGE


def _radius(n: int, width: float) -> float:
    """Dots that don't touch, whatever the number of clients."""
    return max(
        2.0, min(9.0, width / 480 * (9 if n <= 16 else 7 if n <= 48 else 6 if n <= 120 else 3))
    )


def _n_clients(rounds: Any, frames: list, n_clients: int | None, names: Any) -> int:
    if n_clients is None and isinstance(rounds, History):
        n_clients = rounds.n_clients
    if n_clients is None and names is not None:
        n_clients = len(names)
    if n_clients is None:
        ids = [client["id"] for frame in frames for client in frame["clients"]]
        if not ids:
            raise ValueError("n_clients must be given when there are no rounds yet")
        n_clients = max(ids) + 1
    n = as_int("n_clients", n_clients, minimum=1)
    _check_ids(frames, n)
    return n


def _check_ids(frames: list[dict[str, Any]], n: int) -> None:
    for frame in frames:
        for client in frame["clients"]:
            if client["id"] >= n:
                raise ValueError(
                    f"n_clients must be at least {client['id'] + 1}, the clients in "
                    f"{frame['title']!r} need it, got {n}"
                )


def _check_names(names: Sequence[str] | None, n: int) -> list[str]:
    if names is None:
        return [f"client {k}" for k in range(n)]
    names = list(names)
    if len(names) != n or not all(isinstance(name, str) for name in names):
        raise ValueError(f"names must hold {n} texts, one for each client, got {describe(names)}")
    return names
