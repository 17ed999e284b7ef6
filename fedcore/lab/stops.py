"""A slider over a few given values, as the live panels have it: named, and its value in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import traitlets

from fedcore.lab.style import css, esm


class Stops(anywidget.AnyWidget):
    """``options`` are (text, value), one of which is chosen; observe ``index`` to hear of a move.

    Raises ValueError if ``value`` is none of theirs, also when it is set later.
    """

    _esm = esm("common.js", "stops.js")
    _css = css()

    control = traitlets.Dict().tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)

    def __init__(self, label: str, options: Sequence[tuple[str, Any]], value: Any):
        self.options = list(options)
        control = {"label": label, "texts": [text for text, _ in self.options]}
        super().__init__(control=control, index=self._place(value))

    @property
    def value(self) -> Any:
        """What the slider stands at."""
        return self.options[self.index][1]

    @value.setter
    def value(self, value: Any) -> None:
        self.index = self._place(value)

    def _place(self, value: Any) -> int:
        values = [each for _, each in self.options]
        if value not in values:
            raise ValueError(f"value must be one of {values}, got {value!r}")
        return values.index(value)
