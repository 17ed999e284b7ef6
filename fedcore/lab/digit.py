"""Draw a digit, and a model reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anywidget
import numpy as np
import traitlets

from fedcore._validate import as_float_array, as_int, describe, require_finite
from fedcore.datasets import Dataset
from fedcore.lab.style import css, esm, percent
from fedcore.models import MLP

SIDE, BOX = 28, 20  # MNIST: a 20 x 20 digit placed in 28 x 28 by its centre of mass
GRID = 112  # pixels a side that the page sends: four times finer than MNIST


def center_digit(pixels: np.ndarray) -> np.ndarray:
    """A drawing (height, width) as MNIST would hold it: (28, 28) float32 in [0, 1], 0 background.

    pixels: uint8 (0 to 255), bool, or floats in [0, 1]; bright is ink. As for MNIST, the drawing's
    bounding box is scaled to fit 20 x 20 with its proportions kept (each new pixel is the mean of
    the area that it covers), then moved so that its centre of mass lies in pixel (14, 14), as
    in MNIST's own files. An empty drawing stays empty.

    Raises TypeError or ValueError that names the argument.

    Source: LeCun, Cortes and Burges, "The MNIST database", as described on its page.
    """
    ink = _as_ink(pixels)
    rows, columns = np.flatnonzero(ink.max(axis=1)), np.flatnonzero(ink.max(axis=0))
    if rows.size == 0:
        return np.zeros((SIDE, SIDE), dtype=np.float32)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(ink.shape)
    height, width = (max(1, round(n * scale)) for n in ink.shape)
    small = _shares(height, ink.shape[0]) @ ink @ _shares(width, ink.shape[1]).T
    return _place_by_mass(small)


def _as_ink(pixels: Any) -> np.ndarray:
    array = np.asarray(pixels)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"pixels must have two dimensions, none empty, got {describe(array)}")
    if array.dtype == np.uint8:
        return array / 255.0
    if array.dtype == bool:
        return array.astype(float)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"pixels must be uint8, bool or float, got {describe(array)}")
    require_finite("pixels", array)
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"pixels must be in [0, 1], got {array.min():g} to {array.max():g}")
    return array.astype(float)


def _shares(n_new: int, n_old: int) -> np.ndarray:
    """(n_new, n_old): how much of each old pixel goes into each new one; every row sums to 1."""
    edges = np.linspace(0, n_old, n_new + 1)
    old = np.arange(n_old)
    left = np.maximum(edges[:-1, None], old)
    right = np.minimum(edges[1:, None], old + 1)
    return np.maximum(right - left, 0) * (n_new / n_old)


def _place_by_mass(small: np.ndarray) -> np.ndarray:
    """``small`` in 28 x 28, shifted by whole pixels so that its centre of mass is in pixel 14."""
    mass = small.sum()
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    start = []
    for axis, n in enumerate(small.shape):
        centre = (small.sum(axis=1 - axis) * np.arange(n)).sum() / mass
        nearest = np.ceil(SIDE // 2 - centre - 0.5 - 1e-9)  # a tie goes to the upper left
        start.append(int(np.clip(nearest, 0, SIDE - n)))
    top, left = start
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return np.clip(image, 0, 1)


class DigitPad(anywidget.AnyWidget):
    """A pad to draw a digit on; ``model`` reads it after each stroke.

    params: the model's parameters (P,), or {name: parameters} to compare several: the learner then
    chooses whose opinion to see. examples: a Dataset of digits that can be put on the pad with a
    button, in place of drawing. Draw with mouse, finger, or the keys: arrows move the pen, with
    Shift they draw.

    image: (28, 28) float32, what the model sees. probabilities: (classes,) float32, what it says;
    None while the pad is empty. Raises TypeError or ValueError that names the argument.
    """

    _esm = esm("common.js", "digit.js")
    _css = css()

    title = traitlets.Unicode().tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    pixels = traitlets.CBytes(b"").tag(sync=True)  # GRID x GRID, one byte each, from the page
    sample = traitlets.Int(-1).tag(sync=True)  # the example on the pad, -1: what was drawn
    n_samples = traitlets.Int(0).tag(sync=True)
    seen = traitlets.Bytes(b"").tag(sync=True)  # 28 x 28, one byte each, to the page
    answer = traitlets.Dict().tag(sync=True)  # {bars: [[text, share]], text}

    def __init__(
        self,
        model: MLP,
        params: np.ndarray | Mapping[str, np.ndarray],
        *,
        examples: Dataset | None = None,
        title: str = "Draw a digit",
    ):
        if not isinstance(model, MLP) or model.n_features != SIDE * SIDE:
            raise TypeError(f"model must read 784 pixels, got {describe(model)}")
        self._model, self._examples = model, examples
        self._params = _check_params(model, params)
        self.image = np.zeros((SIDE, SIDE), dtype=np.float32)
        self.probabilities: np.ndarray | None = None
        self._label: int | None = None  # of the example on the pad
        super().__init__(
            title=title,
            names=list(self._params),
            n_samples=0 if examples is None else len(examples),
        )
        self.observe(self._on_pixels, names="pixels")
        self.observe(self._on_sample, names="sample")
        self.observe(lambda _: self._read(), names="chosen")
        self._read()

    def use(self, params: np.ndarray | Mapping[str, np.ndarray]) -> None:
        """Read with other parameters from now on, for instance after more rounds."""
        self._params = _check_params(self._model, params)
        self.names, self.chosen = list(self._params), 0
        self._read()

    def draw(self, pixels: np.ndarray) -> None:
        """Put a drawing on the pad from Python: any (height, width) that center_digit takes."""
        self.image, self._label = center_digit(pixels), None
        self._read()

    def _on_pixels(self, _change: dict | None = None) -> None:
        data = np.frombuffer(self.pixels, dtype=np.uint8)
        if data.size != GRID * GRID:  # not from our page
            data = np.zeros(GRID * GRID, dtype=np.uint8)
        self.draw(data.reshape(GRID, GRID))

    def _on_sample(self, change: dict) -> None:
        if self._examples is None or not 0 <= change["new"] < len(self._examples):
            self._on_pixels()
            return
        self.image = self._examples.x[change["new"]].reshape(SIDE, SIDE)
        self._label = int(self._examples.y[change["new"]])
        self._read()

    def _read(self) -> None:
        self.seen = (255 * self.image).round().astype(np.uint8).tobytes()
        if not self.image.any():
            self.probabilities = None
            self.answer = {"bars": [], "text": "Draw a digit from 0 to 9."}
            return
        params = list(self._params.values())[self.chosen]
        self.probabilities = self._model.predict_proba(params, self.image.reshape(1, -1))[0]
        self.answer = {
            "bars": [[percent(p, 0), float(p)] for p in self.probabilities],
            "text": reading(self.probabilities, self._label),
        }


def reading(probabilities: np.ndarray, label: int | None = None) -> str:
    """The model's opinion in words; with ``label``, whether it is right."""
    best, second = (int(i) for i in np.argsort(-probabilities, kind="stable")[:2])
    text = f"The model reads {best} ({percent(probabilities[best], 0)})"
    if label is not None:
        return f"{text}; it is {'a' if label != 8 else 'an'} {label}."
    if probabilities[best] < 0.6:
        return f"{text}, but it might be {second} ({percent(probabilities[second], 0)})."
    return f"{text}."


def _check_params(model: MLP, params: Any) -> dict[str, np.ndarray]:
    named = dict(params) if isinstance(params, Mapping) else {"model": params}
    if not named:
        raise ValueError("params must hold at least one entry, got none")
    for name, vector in named.items():
        where = "params" if not isinstance(params, Mapping) else f"params[{name!r}]"
        as_float_array(where, vector, ndim=1)
        as_int(f"length of {where}", len(vector), minimum=model.n_params, maximum=model.n_params)
    return {str(name): vector for name, vector in named.items()}
