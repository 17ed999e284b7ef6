"""What the privacy panel says about a run, in words: plain functions of a PrivacyResult."""

from __future__ import annotations

import math
from typing import Any

from fedcore.lab.privacy_runs import EXACT, FPR, PrivacyResult
from fedcore.lab.style import NBSP, percent
from fedcore.lab.summary import differences

UNKNOWN = "\N{EN DASH}"
EPSILON, DELTA = "\N{GREEK SMALL LETTER EPSILON}", "\N{GREEK SMALL LETTER DELTA}"
LARGE = 1e4  # an epsilon beyond this is nothing that anybody would call a promise


def epsilon_text(epsilon: float) -> str:
    """Three figures; 'infinite' as the sign; beyond 10,000 only that it is beyond."""
    if math.isinf(epsilon):
        return "\N{INFINITY}"
    return f">{NBSP}10,000" if epsilon > LARGE else f"{epsilon:.3g}"


def psnr_text(decibel: float) -> str:
    """'22.6 dB', or 'exact' where only float32's rounding is left."""
    return "exact" if decibel >= EXACT else f"{decibel:.1f}{NBSP}dB"


def tiles(result: PrivacyResult, before: PrivacyResult | None) -> list[dict[str, str]]:
    """Key figures as [{name, value, before}]; ``before`` is the previous finished run's figure."""
    figures = [
        ("Test accuracy", lambda r: r.accuracy[-1] if r.accuracy else None, percent),
        ("Worst user", lambda r: r.worst_user, percent),
        ("Reconstruction", lambda r: r.psnr, psnr_text),
        ("Members found", lambda r: r.tpr, percent),
        (f"{EPSILON} at most", lambda r: r.epsilon, epsilon_text),
        (f"{EPSILON} at least", lambda r: r.proven, lambda value: f"{value:.2f}"),
    ]
    return [
        {"name": name, "value": _said(get, say, result), "before": _said(get, say, before, "")}
        for name, get, say in figures
    ]


def status(phase: str, result: PrivacyResult) -> str:
    """One sentence that says what is on the screen and how far the run has come."""
    settings, done = result.settings, len(result.accuracy) - 1
    if phase == "training":
        so_far = f": {percent(result.accuracy[-1])} so far" if done else " ..."
        return f"Training round {min(done + 1, settings.n_rounds)} of {settings.n_rounds}{so_far}."
    if phase == "attacking":
        return (
            f"Attacking: {max(result.models, 1)} of {settings.n_models} trainings, "
            "each on a random half of the users ..."
        )
    if phase == "stopped":
        return "Stopped by you. What is missing was not computed."
    return (
        f"Done: {EPSILON} is at most {epsilon_text(result.epsilon)} for one user "
        f"({DELTA}{NBSP}={NBSP}{settings.delta:g}). With {percent(FPR, 0)} false alarms, "
        f"the attack finds {percent(result.tpr)} of those who took part."
    )


def alternative(result: PrivacyResult, before: PrivacyResult | None) -> str:
    """The chart in words."""
    text = (
        f"Test accuracy against rounds. This run: from {percent(result.accuracy[0])} to "
        f"{percent(result.accuracy[-1])} after {len(result.accuracy) - 1} rounds"
    )
    if before is not None:
        text += (
            f". Previous run ({differences(before.settings, result.settings)}): "
            f"{percent(before.accuracy[-1])} after {len(before.accuracy) - 1} rounds"
        )
    return text + "."


def pictures(result: PrivacyResult) -> list[dict[str, Any]]:
    """The first victim's digit and what the attacker gets of it, grey levels 0 to 255."""
    if result.pictures is None:
        return []
    names = ("a user's only digit", f"rebuilt: {psnr_text(result.psnr)} (median of 20)")
    return [
        {"name": name, "pixels": (255 * picture).round().astype(int).tolist()}
        for name, picture in zip(names, result.pictures, strict=True)
    ]


def _said(get, say, result: PrivacyResult | None, nothing: str = UNKNOWN) -> str:
    value = None if result is None else get(result)
    return nothing if value is None else say(value)
