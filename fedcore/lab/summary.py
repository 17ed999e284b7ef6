"""What a live panel says about a run, in words: plain functions of a Curve."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fedcore.lab.runs import KNOBS, Curve
from fedcore.lab.style import NBSP, count, number, percent, seconds, size
from fedcore.training import DivergedError

SYMBOLS = {
    "n_clients": "K",
    "fraction": "C",
    "epochs": "E",
    "batch_size": "B",
    "lr": "\N{GREEK SMALL LETTER ETA}",
    "split": "split",
    "alpha": "\N{GREEK SMALL LETTER ALPHA}",
    "shards_per_client": "shards",
    "model": "model",
    "strategy": "server",
    "n_rounds": "rounds",
    "seed": "seed",
    "n_users": "K",  # from here on: of the privacy panel
    "noise_multiplier": "z",
    "clip_norm": "S",
    "sampling_rate": "q",
    "n_examples": "digits a user",
    "n_models": "trainings",
    "delta": "\N{GREEK SMALL LETTER DELTA}",
}


def setting_text(name: str, value: object) -> str:
    """The value of one setting as the panel writes it."""
    if value is None:
        return "all"
    return number(value) if isinstance(value, int | float) else str(value)


def settings_text(settings: Any, names: tuple[str, ...] | None = None) -> str:
    """'K = 100, C = 0.1, ...' for the settings in ``names`` (default all), in the usual order."""
    values = asdict(settings)
    shown = [n for n in SYMBOLS if n in values and (names is None or n in names)]
    return ", ".join(
        f"{SYMBOLS[n]}{NBSP}={NBSP}{setting_text(n, values[n])}".replace(" ", NBSP) for n in shown
    )


def differences(settings: Any, other: Any) -> str:
    """Only what ``settings`` does otherwise than ``other``; 'same settings' if nothing."""
    ours, theirs = asdict(settings), asdict(other)
    idle = {knob for split, knob in KNOBS.items() if getattr(settings, "split", None) != split}
    changed = tuple(name for name in ours if ours[name] != theirs[name] and name not in idle)
    return settings_text(settings, changed) if changed else "same settings"


def status(phase: str, curve: Curve, error: DivergedError | None = None) -> str:
    """One sentence that says what is on the screen and how far the run has come."""
    last, done, wanted = percent(curve.accuracy[-1]), curve.rounds, curve.settings.n_rounds
    if phase == "diverged":
        return f"Stopped: {_diverged(curve, error)}. {_kept(curve)}"
    if phase == "stopped":
        return f"Stopped by you after round {done} of {wanted}, at {last} test accuracy."
    if phase == "done":
        cost = f"{size(curve.bytes_up)} up, {size(curve.bytes_down)} down"
        took = seconds(curve.seconds)
        text = f"Done: {last} after {count(done, 'round')}, {took}, {cost}."
        return text + _warning(curve)
    if done == 0:
        return f"Training round 1 of {wanted} ..."
    return f"Training round {done + 1} of {wanted}: {last} so far."


def tiles(
    curve: Curve, before: Curve | None, target: float | None, worst: bool = False
) -> list[dict[str, str]]:
    """Key figures as [{name, value, before}]; ``before`` is the previous finished run's figure.

    worst: whether the worst-off client is told too.
    """
    figures = [
        ("Test accuracy", lambda c: percent(c.accuracy[-1])),
        ("Sent up", lambda c: size(c.bytes_up)),
        ("Sent down", lambda c: size(c.bytes_down)),
        ("Computing", lambda c: seconds(c.seconds)),
    ]
    if target is not None:
        name = f"Rounds to {percent(target, 0)}"
        figures.insert(1, (name, lambda c: _reached(c, target)))
    if worst:
        figures.insert(1, ("Worst client", _worst))
    return [
        {"name": name, "value": tell(curve), "before": tell(before) if before else ""}
        for name, tell in figures
    ]


def axis_floor(curve: Curve | None, before: Curve | None) -> int:
    """Where the accuracy axis begins, per cent: 0, 20, 40, 60 or 80, below every trained model.

    Round 0, the untrained model, may lie below: the interesting differences are near the top.
    """
    trained = [a for c in (curve, before) if c is not None for a in c.accuracy[1:]]
    return min(80, int(100 * min(trained) // 20) * 20) if trained else 0


def alternative(curve: Curve, before: Curve | None) -> str:
    """The chart in words, for those who can't see it."""
    text = (
        f"Test accuracy against rounds. This run: from {percent(curve.accuracy[0])} at the start "
        f"to {percent(curve.accuracy[-1])} after {count(curve.rounds, 'round')}"
    )
    if before is not None:
        text += (
            f". Previous run ({differences(before.settings, curve.settings)}): "
            f"{percent(before.accuracy[-1])} after {count(before.rounds, 'round')}"
        )
    return text + "."


def _worst(curve: Curve) -> str:
    return "\N{EN DASH}" if curve.worst is None else percent(curve.worst)


def _reached(curve: Curve, target: float) -> str:
    reached = curve.rounds_to(target)
    return str(reached) if reached is not None else f">{NBSP}{curve.rounds}"


def _diverged(curve: Curve, error: DivergedError | None) -> str:
    where = f"diverged in round {curve.rounds + 1}"
    client = getattr(error, "client", None)
    if client is not None:
        where += f", client {client}"
    lr = number(curve.settings.lr)
    return f"{where}, \N{GREEK SMALL LETTER ETA}{NBSP}={NBSP}{lr}; try a smaller learning rate"


def _kept(curve: Curve) -> str:
    if curve.rounds == 0:
        return "No round was completed."
    return f"The {count(curve.rounds, 'completed round')} stay, at {percent(curve.accuracy[-1])}."


def _warning(curve: Curve) -> str:
    """A finished run can still have gone wrong: say so where the loss tells."""
    if curve.loss[-1] > curve.loss[0]:
        return (
            f" But the loss rose from {curve.loss[0]:.3g} to {curve.loss[-1]:.3g}: "
            "the learning rate is too large for these settings."
        )
    return ""
