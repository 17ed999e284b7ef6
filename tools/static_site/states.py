"""A live panel's states, computed by the panel itself: what its page would show at the end."""

from __future__ import annotations

import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

from fedcore.lab.live import LivePanel

GRIDS = json.loads((Path(__file__).parent / "grids.json").read_text(encoding="utf-8"))
TIMED = (  # what a run took on the machine that builds: it would differ from build to build
    (r", [\d.,]+ (s|min)(?=, [\d.]+ [kMG]?B up)", ""),
    (r", training and attack in [\d.,]+ (s|min)", ""),
    (r" Your best: \d+\.", ""),  # of a learner, whom a page without a kernel does not know
)


def grid(panel: LivePanel, products: list[dict[str, list[str]]]) -> list[dict[str, int]]:
    """Positions of the panel's controls, one dict a state; the first is where the panel starts.

    products: {setting: [texts as they stand beside its slider]}; of each, every combination is
    taken. A setting that is not named stays where it starts. ValueError for a text that no slider
    has. A knob that does nothing there (of a split that is not chosen) stays at its start too.
    """
    start = panel.request["values"]
    found = [dict(start)]
    for product in products:
        choices = {name: [_position(panel, name, t) for t in product[name]] for name in product}
        for combination in itertools.product(*choices.values()):
            values = effective(panel, {**start, **dict(zip(choices, combination, strict=True))})
            if values not in found:
                found.append(values)
    return found


def effective(panel: LivePanel, values: dict[str, int]) -> dict[str, int]:
    """``values`` with every knob that does nothing back at its start."""
    split = next((c for c in panel.controls if c["name"] == "split"), None)
    chosen = split and split["texts"][values["split"]]
    idle = {c["name"] for c in panel.controls if c.get("needs") and c["needs"] != chosen}
    start = panel.request["values"]
    return {name: start[name] if name in idle else at for name, at in values.items()}


def record(panel: LivePanel, values: dict[str, int]) -> dict[str, Any]:
    """Move the panel's controls as its page does, wait, and return what the page is sent.

    {"view", "messages"}, and "held" and "code" where the panel has them. Times that were measured
    are left out. RuntimeError if the run fails.
    """
    messages: list[dict[str, Any]] = []
    panel.send = messages.append
    panel.view = {**panel.view, "phase": "idle"}  # so that no earlier run is drawn beside it
    panel.request = {"seq": panel.request["seq"] + 1, "action": "run", "values": values}
    while panel.phase in ("running", "idle"):
        time.sleep(0.002)
    if panel.phase not in ("done", "diverged"):
        raise RuntimeError(f"{type(panel).__name__} ended as {panel.phase}: {panel.view['status']}")
    state = {"view": untimed(panel.view), "messages": messages}
    return state | {
        name: getattr(panel, name) for name in ("held", "code") if panel.has_trait(name)
    }


def untimed(view: dict[str, Any]) -> dict[str, Any]:
    """``view`` without what was measured on the machine that builds."""
    status = view["status"].replace("\N{NO-BREAK SPACE}", " ")
    for pattern, instead in TIMED:
        status = re.sub(pattern, instead, status)
    if "tiles" not in view:
        return {**view, "status": status}
    tiles = [tile for tile in view["tiles"] if tile["name"] != "Computing"]
    return {**view, "status": status, "tiles": tiles}


def precomputed(panel: LivePanel, key: str, most: int | None = None) -> dict[str, Any]:
    """The panel for a page without a kernel: {"state": traits, "states": {positions: state}}.

    key: "notebook/cell" in ``grids.json``. most: at most so many states. Only the positions that
    were computed stay on a slider; one that never moves is told among the fixed settings.
    """
    start = dict(panel.request["values"])
    wanted = grid(panel, GRIDS.get(key) or default_grid(panel))[:most]
    blank = untimed(panel.view)
    traits = {name: getattr(panel, name) for name in synced(panel)}
    kept = {n: sorted({values[n] for values in wanted}) for n in start}
    controls, fixed = [], []
    for control in traits["controls"]:
        texts = [control["texts"][at] for at in kept[control["name"]]]
        if len(texts) > 1:
            controls.append({**control, "texts": texts})
        else:
            fixed.append(f"{control['label']}: {texts[0]}")
    moving = [control["name"] for control in controls]
    states = {}
    for values in wanted:
        states[",".join(str(kept[n].index(values[n])) for n in moving)] = record(panel, values)
    panel.close()
    begin = {n: kept[n].index(start[n]) for n in moving}
    traits |= {"controls": controls, "view": blank, "defaults": begin}
    traits["request"] = {"seq": 0, "action": "run", "values": begin}
    if fixed:
        more = f"Not moved on this page: {'; '.join(fixed)}."
        traits["fixed"] = f"{traits['fixed']} {more}".strip()
    return {"state": traits, "states": states}


def default_grid(panel: LivePanel) -> list[dict[str, list[str]]]:
    """For a panel that ``grids.json`` does not name: the start, and both ends of each slider."""
    return [{c["name"]: [c["texts"][0], c["texts"][-1]]} for c in panel.controls]


def synced(widget: Any) -> list[str]:
    """The traits that the page of a widget of ours sees, without those of ipywidgets."""
    common = {"layout", "tabbable", "tooltip"}
    return sorted(n for n in widget.keys if not n.startswith("_") and n not in common)


def _position(panel: LivePanel, name: str, text: str) -> int:
    texts = {c["name"]: c["texts"] for c in panel.controls}
    known = [t.replace("\N{NO-BREAK SPACE}", " ") for t in texts.get(name, [])]
    if text not in known:
        raise ValueError(f"{name} must be one of {known}, got {text!r}")
    return known.index(text)
