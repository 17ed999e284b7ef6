"""Who is to report in a round on Flower, and what the record says of those who then did.

With a fleet the round is first simulated, exactly as ``run_federation`` does it: conditions,
drop-outs, deadline and over-selection happen in simulated time, and only the devices whose reports
count are asked to train. What goes wrong with the real processes comes on top: a report that the
simulation counts and that never arrives is ``unused``, for the reason "lost".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from fedcore import strategy_api
from fedcore.devices import Memory
from fedcore.events import Event
from fedcore.fleet_reports import FleetServer, Reports, fleet_server
from fedcore.rounds import sample_clients

UNKNOWN = 1  # examples of a client that has never connected; a fleet must have a number for it


def fleet_of(run: Any, n_examples: np.ndarray) -> FleetServer | None:
    """The simulated server of the ``run``, a FlowerRun, with n_k (K,); None without a fleet."""
    target = max(round(run.fraction * run.n_clients), 1)
    payload = strategy_api.payload(run.strategy, run.model.n_params)
    sizes = np.where(n_examples > 0, n_examples, UNKNOWN)
    return fleet_server(run.fleet, run.plan, sizes, run.local.epochs, payload, target, run.seed)


def wanted(
    run: Any, t: int, fleet_state: tuple, n_examples: np.ndarray
) -> tuple[Reports, Memory | None]:
    """Whose reports round ``t`` of ``run`` needs, and what the fleet remembers afterwards.

    n_examples: (K,) int64, 0 where unknown.
    """
    if server := fleet_of(run, n_examples):
        return server.round(t, server.resume(fleet_state))
    clients = sample_clients(run.n_clients, run.fraction, run.seed, t, run.sampling)
    epochs = np.full(len(clients), run.local.epochs)
    spent = {"n_selected": len(clients)}
    return Reports(clients, n_examples[clients], n_examples[clients], epochs, spent), None


def arrived(
    wanted: Reports, memory: Memory | None, here: Collection[int], min_reports: int
) -> tuple[Reports, Memory | None]:
    """``wanted`` and ``memory`` as they are once only the clients ``here`` have reported.

    With fewer than ``min_reports`` where somebody was asked, ``spent`` says that it is abandoned.
    """
    found = np.isin(wanted.clients, list(here))
    enough = found.sum() >= min_reports or wanted.spent["n_selected"] == 0
    spent = wanted.spent | {"abandoned": wanted.spent.get("abandoned", False) or not enough}
    if memory is not None:
        counted = found & enough
        weights = wanted.weights * counted / max((wanted.weights * counted).sum(), 1e-300)
        weight_of = dict(zip(wanted.clients.tolist(), weights.tolist(), strict=True))
        used = memory.used.copy()
        used[wanted.clients[~counted]] -= 1
        memory = replace(memory, used=used)
        found = counted
        lost = set(wanted.clients.tolist()) - set(here)
        spent["events"] = tuple(
            _told(event, weight_of, lost, abandoned=not enough) for event in spent["events"]
        )
    kept = [column[found] for column in wanted[:4]]
    return Reports(*kept, spent), memory


def _told(event: Event, weight_of: dict[int, float], lost: set[int], abandoned: bool) -> Event:
    """``event`` of the simulated round, as the real one turned out."""
    if event.kind == "used" and event.device in lost:
        return replace(event, kind="unused", weight=0.0, reason="lost")
    if event.kind == "used" and abandoned:
        return replace(event, kind="unused", weight=0.0, reason="abandoned")
    if event.kind == "used":
        return replace(event, weight=weight_of[event.device])
    if event.kind == "aggregated" and abandoned:
        return replace(event, kind="round_abandoned", weight=0.0, reason="too_few")
    return event
