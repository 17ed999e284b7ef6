"""A line chart that grows while something runs, drawn by the browser: 0.1 ms a point, no images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import traitlets

from fedcore._validate import as_real, describe
from fedcore.lab.style import css, esm, number

LOOKS = 6  # colours, dashes and markers that can be told apart


class LineChart(anywidget.AnyWidget):
    """Lines over a common x axis; ``add`` appends a point and only that chart is redrawn.

    x_label, y_label: with units. x_range, y_range: (low, high), or None to follow the data. height:
    in pixels. Up to six lines, each with a colour, a dash and a marker of its own.

    Numbers that are not finite leave a gap. ``lines`` holds {name: (xs, ys)}.
    """

    _esm = esm("common.js", "chart.js", "line_chart.js")
    _css = css()

    spec = traitlets.Dict().tag(sync=True)
    height = traitlets.Int(260).tag(sync=True)

    def __init__(
        self,
        x_label: str = "round",
        y_label: str = "test accuracy",
        *,
        x_range: tuple[float, float] | None = None,
        y_range: tuple[float, float] | None = None,
        height: int = 260,
    ):
        for name, value in (("x_label", x_label), ("y_label", y_label)):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a text, got {describe(value)}")
        self._labels = x_label, y_label
        self._ranges = _check_range("x_range", x_range), _check_range("y_range", y_range)
        self.lines: dict[str, tuple[list[float], list[float]]] = {}
        super().__init__(height=height, spec=self._spec())

    def add(self, line: str, x: float, y: float) -> None:
        """Append the point (x, y) to the line with that name, which begins with its first point."""
        x, y = as_real("x", x), _as_number(y)
        xs, ys = self._line(line)
        xs.append(x)
        ys.append(y)
        self.spec = self._spec()

    def set(self, line: str, xs: Sequence[float], ys: Sequence[float]) -> None:
        """Replace a whole line; ValueError unless ``xs`` and ``ys`` have the same length."""
        xs, ys = [as_real("xs", x) for x in xs], [_as_number(y) for y in ys]
        if len(xs) != len(ys):
            raise ValueError(f"ys must hold {len(xs)} numbers, as many as xs, got {len(ys)}")
        self._line(line)
        self.lines[line] = (xs, ys)
        self.spec = self._spec()

    def clear(self) -> None:
        """Remove every line."""
        self.lines.clear()
        self.spec = self._spec()

    def _line(self, name: str) -> tuple[list[float], list[float]]:
        if not isinstance(name, str):
            raise TypeError(f"line must be a name, got {describe(name)}")
        if name not in self.lines and len(self.lines) == LOOKS:
            raise ValueError(f"a chart holds at most {LOOKS} lines, got one more: {name!r}")
        return self.lines.setdefault(name, ([], []))

    def _spec(self) -> dict[str, Any]:
        (x_label, y_label), (x_range, y_range) = self._labels, self._ranges
        all_x = [x for xs, _ in self.lines.values() for x in xs]
        all_y = [y for _, ys in self.lines.values() for y in ys if y is not None]
        x_low, x_high = x_range or _span(all_x)
        y_low, y_high = y_range or _padded(*_span(all_y))
        whole = all(float(x).is_integer() for x in all_x)
        return {
            "label": self._alternative(),
            "x": {"label": x_label, "min": x_low, "max": x_high, "whole": whole},
            "y": {"label": y_label, "min": y_low, "max": y_high},
            "lines": [
                {"name": name, "x": list(xs), "y": list(ys), "look": i + 1}
                for i, (name, (xs, ys)) in enumerate(self.lines.items())
            ],
        }

    def _alternative(self) -> str:
        """The chart in words."""
        x_label, y_label = self._labels
        text = f"{y_label} against {x_label}."
        for name, (xs, ys) in self.lines.items():
            known = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
            if known:
                (x0, y0), (x1, y1) = known[0], known[-1]
                text += f" {name}: {number(y0)} at {number(x0)}, {number(y1)} at {number(x1)}."
        return text


def _as_number(y: float) -> float | None:
    """A float, or None (a gap) for what is not finite: JSON knows no infinity."""
    y = float(y)
    return y if abs(y) < float("inf") else None


def _check_range(name: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise TypeError(f"{name} must be (low, high) or None, got {describe(value)}")
    low = as_real(f"{name}[0]", value[0])
    return low, as_real(f"{name}[1]", value[1], low, include_low=False)


def _span(values: list[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.05 * (high - low)
    return low - room, high + room
