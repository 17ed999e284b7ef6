"""Predict, then run: the learner commits to a guess before the result is shown."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import anywidget
import traitlets

from fedcore._validate import as_real, describe
from fedcore.lab import progress
from fedcore.lab.scoring import COVERAGE, POINTS, brier_points, interval_points
from fedcore.lab.style import NBSP, css, esm, html_block, number, percent, plain, rich

_revealed: dict[str, Prediction] = {}


class Prediction(anywidget.AnyWidget):
    """A question, and the learner's guess. Made by ``lab.predict``; ``reveal`` ends it.

    guess: None, {"choice": position, "confidence": share} or {"low": number, "high": number}.
    """

    _esm = esm("common.js", "predict.js")
    _css = css()

    question = traitlets.Unicode().tag(sync=True)  # safe HTML
    label = traitlets.Unicode().tag(sync=True)  # the question without marks
    options = traitlets.List(traitlets.Unicode()).tag(sync=True)  # safe HTML; empty: an interval
    scale = traitlets.Dict().tag(sync=True)  # {low, high, step, unit} of an interval
    least = traitlets.Int(50).tag(sync=True)  # the least confidence in a choice, per cent
    guess = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    locked = traitlets.Bool(False).tag(sync=True)  # committed: the page refuses changes
    revealed = traitlets.Bool(False).tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)

    def __init__(self, key: str, question: str, names: Sequence[str], scale: dict[str, Any]):
        self.key, self.names = key, tuple(names)
        super().__init__(
            question=rich(question),
            label=plain(question),
            options=[rich(name) for name in names],
            scale=scale,
            least=least_confidence(len(names)) if names else 50,
        )

    def set_state(self, sync_data: dict) -> None:
        """What the page sends; nothing that would change a guess after the result was shown."""
        if not self.revealed:
            super().set_state(sync_data)

    def commit(self, choice: str | None = None, confidence: float = 0.5, **interval: float) -> None:
        """Guess from Python: ``commit("A", 0.8)`` or ``commit(low=3, high=5)``.

        Raises ValueError for an impossible guess, RuntimeError once the result was revealed.
        """
        if self.revealed:
            raise RuntimeError(f"the result of {self.key!r} was revealed: a guess can't change now")
        guess = {"choice": choice, "confidence": confidence} if self.names else interval
        self.guess, self.locked = self._check_guess(guess), True

    def reveal(self, actual: Any) -> Revealed:
        """Compare the guess with ``actual``: an option, or a number on the scale or beyond it.

        Returns something to be shown. Without a guess it says so and shows the result all the
        same. The first result counts: from then on neither guess nor points change.
        """
        actual = self._check_actual(actual)
        if not self.revealed:
            self.locked = self.revealed = True
            self.note = "Revealed below."
            _revealed[self.key] = self
            points = self.points(actual)
            if points is not None:
                progress.award(f"predict/{self.key}", points, POINTS, once=True)
        return Revealed(self, actual)

    def points(self, actual: Any) -> int | None:
        """What the guess earns if ``actual`` is the result; None without a guess."""
        if self.guess is None:
            return None
        if self.names:
            hit = self.names[self.guess["choice"]] == actual
            return brier_points(self.guess["confidence"], hit)
        width = self.scale["high"] - self.scale["low"]
        return interval_points(self.guess["low"], self.guess["high"], actual, width)

    def guess_text(self) -> str:
        """The guess in words; empty without one."""
        if self.guess is None:
            return ""
        if self.names:
            sure = percent(self.guess["confidence"], 0)
            return f"{plain(self.names[self.guess['choice']])}, {sure} sure"
        return f"{number(self.guess['low'])} to {self.with_unit(self.guess['high'])}"

    def with_unit(self, value: float) -> str:
        """``value`` as the learner reads it."""
        unit = self.scale.get("unit", "")
        return f"{number(value)}{NBSP}{unit}" if unit else number(value)

    def _check_guess(self, guess: dict[str, Any]) -> dict[str, Any]:
        if self.names:
            choice, confidence = guess.get("choice"), guess.get("confidence")
            if choice not in self.names:
                raise ValueError(f"choice must be one of {self.names}, got {describe(choice)}")
            confidence = as_real("confidence", confidence, self.least / 100, 1)
            return {"choice": self.names.index(choice), "confidence": confidence}
        if set(guess) != {"low", "high"}:
            raise ValueError(f"a guess must give low and high, got {describe(guess)}")
        low = as_real("low", guess["low"], self.scale["low"], self.scale["high"])
        return {"low": low, "high": as_real("high", guess["high"], low, self.scale["high"])}

    def _check_actual(self, actual: Any) -> Any:
        if not self.names:
            return as_real("actual", actual)
        if actual not in self.names:
            raise ValueError(f"actual must be one of {self.names}, got {describe(actual)}")
        return actual

    @traitlets.validate("guess")
    def _check_page(self, proposal: dict) -> dict | None:
        """The page sends positions and numbers; anything else is refused."""
        guess = proposal["value"]
        if guess is None:
            return None
        if self.names:
            choice, sure = guess.get("choice"), guess.get("confidence")
            if choice not in range(len(self.names)) or not self.least / 100 <= sure <= 1:
                raise traitlets.TraitError(f"guess is impossible: {guess}")
        elif not self.scale["low"] <= guess["low"] <= guess["high"] <= self.scale["high"]:
            raise traitlets.TraitError(f"guess is impossible: {guess}")
        return guess


def predict(
    key: str,
    question: str,
    options: Sequence[str] | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    step: float | None = None,
) -> Prediction:
    """Ask for a guess: ``options`` to choose from, or a number between ``low`` and ``high``.

    key: names the guess in this session, for example "02/naive-mean". For a choice the learner also
    says how sure they are; for a number they give a range that they are 80 % sure of. ``step``: of
    the range's sliders, default a hundredth of the scale. Once revealed, the same key shows the
    guess that was made: running the cell again gives no second chance.

    Raises TypeError or ValueError that names the argument.
    """
    for name, value in (("key", key), ("question", question)):
        if not isinstance(value, str) or not value.strip():
            raise TypeError(f"{name} must be a non-empty text, got {describe(value)}")
    if options is not None:
        if low is not None or high is not None:
            raise ValueError("options must be left out when low and high are given")
        made = Prediction(key, question, _check_options(options), {})
    else:
        made = Prediction(key, question, (), _check_scale(low, high, unit, step))
    _restore(made)
    return made


def _restore(made: Prediction) -> None:
    earlier = _revealed.get(made.key)
    if earlier is None or (earlier.names, earlier.scale) != (made.names, made.scale):
        return
    made.guess, made.locked, made.revealed = earlier.guess, True, True
    made.note = "Already revealed in this session: restart the kernel to guess again, for practice."


class Revealed:
    """A guess beside the measurement: HTML in a notebook, a sentence elsewhere."""

    def __init__(self, prediction: Prediction, actual: Any):
        self.prediction, self.actual = prediction, actual
        self.points = prediction.points(actual)

    @property
    def hit(self) -> bool | None:
        """Whether the guess was right, or the range holds the result; None without a guess."""
        p = self.prediction
        if p.guess is None:
            return None
        if p.names:
            return p.names[p.guess["choice"]] == self.actual
        return p.guess["low"] <= self.actual <= p.guess["high"]

    @property
    def result(self) -> str:
        """What was measured, in words."""
        return (
            plain(self.actual) if self.prediction.names else self.prediction.with_unit(self.actual)
        )

    @property
    def verdict(self) -> str:
        """One or two sentences: what the guess was worth, and why."""
        if self.hit is None:
            return "You had not made a guess, so there is nothing to compare and no points."
        if self.prediction.names:
            return f"{_choice_verdict(self)} {self.points} of {POINTS} points."
        return f"{_interval_verdict(self)} {self.points} of {POINTS} points."

    def __repr__(self) -> str:
        guess = self.prediction.guess_text()
        return f"Result: {self.result}. {f'Your guess: {guess}. ' if guess else ''}{self.verdict}"

    def _repr_html_(self) -> str:
        guess = self.prediction.guess_text() or "none"
        mark = {True: "\N{CHECK MARK}", False: "\N{MULTIPLICATION X}", None: "\N{EN DASH}"}[
            self.hit
        ]
        kind = {True: "fc-right", False: "fc-wrong", None: ""}[self.hit]
        return html_block(
            f'<div class="fc-box {kind}"><div class="fc-pair"><div><div class="fc-soft">Your guess'
            f'</div><span aria-hidden="true">{mark}</span> {escape(guess)}</div>'
            f'<div><div class="fc-soft">Measured</div><b>{escape(self.result)}</b></div></div>'
            f"{self._picture()}<p>{escape(self.verdict)}</p></div>"
        )

    def _picture(self) -> str:
        """The range and the result on their common scale."""
        p = self.prediction
        if p.names or p.guess is None:
            return ""
        low, width = p.scale["low"], p.scale["high"] - p.scale["low"]
        left, right = ((p.guess[end] - low) / width * 100 for end in ("low", "high"))
        at = min(100.0, max(0.0, (self.actual - low) / width * 100))
        return (
            '<div class="fc-scale" aria-hidden="true">'
            f'<span class="fc-range" style="left:{left:.2f}%;width:{right - left:.2f}%"></span>'
            f'<span class="fc-actual" style="left:{at:.2f}%"></span></div>'
            f'<div class="fc-row fc-soft"><span>{escape(p.with_unit(low))}</span>'
            f"<span>{escape(p.with_unit(p.scale['high']))}</span></div>"
        )


def least_confidence(n_options: int) -> int:
    """The least one can sensibly be sure of one of ``n_options``, per cent: blind guessing."""
    return 5 * round(20 / n_options)


def _choice_verdict(revealed: Revealed) -> str:
    sure = revealed.prediction.guess["confidence"]
    if revealed.hit:
        return (
            "Right, and you knew it." if sure >= 0.85 else "Right, and you could have been surer."
        )
    return "Wrong, and too sure." if sure >= 0.7 else "Wrong, but you were not sure."


def _interval_verdict(revealed: Revealed) -> str:
    p = revealed.prediction
    wide = (p.guess["high"] - p.guess["low"]) / (p.scale["high"] - p.scale["low"])
    if not revealed.hit:
        nearest = p.guess["low"] if revealed.actual < p.guess["low"] else p.guess["high"]
        return f"Your range misses the result by {p.with_unit(abs(revealed.actual - nearest))}."
    if wide > 0.4:
        return f"Your range holds the result, but it spans {percent(wide, 0)} of the scale."
    return "Your range holds the result, and it is narrow."


def _check_options(options: Sequence[str]) -> tuple[str, ...]:
    if isinstance(options, str) or not isinstance(options, Sequence):
        raise TypeError(f"options must be a list of texts, got {describe(options)}")
    for i, option in enumerate(options):
        if not isinstance(option, str) or not option.strip():
            raise TypeError(f"options[{i}] must be a non-empty text, got {describe(option)}")
    if len(options) < 2 or len(set(options)) < len(options):
        raise ValueError(f"options must hold at least two different texts, got {list(options)}")
    return tuple(options)


def _check_scale(low, high, unit, step) -> dict[str, Any]:
    if low is None or high is None:
        raise ValueError("predict needs options, or both low and high")
    low = as_real("low", low)
    high = as_real("high", high, low, include_low=False)
    if not isinstance(unit, str):
        raise TypeError(f"unit must be a text, got {describe(unit)}")
    step = (high - low) / 100 if step is None else as_real("step", step, 0, include_low=False)
    return {"low": low, "high": high, "unit": unit, "step": step, "coverage": COVERAGE}
