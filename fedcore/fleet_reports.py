"""Where federation and fleet meet: whose reports enter the mean, and what the round has cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fedcore._validate import describe
from fedcore.devices import Fleet, Memory
from fedcore.fedbuff import AsyncQueue, FedBuff
from fedcore.fleet_round import simulate_round, totals
from fedcore.round_plan import RoundPlan
from fedcore.strategy_api import Payload


class Reports(NamedTuple):
    """The m reports that enter a round's mean; m can be 0."""

    clients: np.ndarray  # (m,) int64, ascending
    n_examples: np.ndarray  # (m,) int64
    weights: np.ndarray  # (m,) what the strategy is given: n_examples, or those over propensities
    epochs: np.ndarray  # (m,) int64, local epochs that each did
    spent: dict[str, Any]  # the fields of the RoundRecord that tell what the round has cost


@dataclass(frozen=True)
class FleetServer:
    """Runs rounds on a fleet as a plan says: memory in, (reports, memory) out."""

    fleet: Fleet
    plan: RoundPlan
    n_examples: np.ndarray  # (n,) of each device's client
    epochs: int
    payload: Payload
    seed: int

    def fresh(self) -> Memory:
        """The memory before the first round."""
        return Memory.fresh(len(self.fleet))

    def resume(self, arrays: tuple[np.ndarray, ...]) -> Memory:
        """The memory in a History's ``fleet_state``; ValueError if it is not of this fleet."""
        if len(arrays) != 4 or len(arrays[1]) != len(self.fleet):
            raise ValueError(
                f"resume must come from a run with a fleet of {len(self.fleet)} devices, "
                f"got fleet_state of {len(arrays)} arrays"
            )
        return Memory.from_arrays(arrays)

    def round(self, t: int, memory: Memory) -> tuple[Reports, Memory]:
        """Simulate round ``t``."""
        out = simulate_round(
            self.fleet,
            self.plan,
            self.n_examples,
            self.epochs,
            self.payload,
            round=t,
            seed=self.seed,
            memory=memory,
        )
        n_examples = self.n_examples[out.clients]
        spent = totals(out.events) | {"abandoned": out.abandoned, "events": out.events}
        return Reports(out.clients, n_examples, out.raw_weights, out.epochs, spent), out.memory


@dataclass(frozen=True)
class AsyncServer:
    """Runs an asynchronous federation. Who is at work is not kept: it can't be resumed."""

    fleet: Fleet
    plan: FedBuff
    n_examples: np.ndarray
    epochs: int
    payload: Payload
    seed: int

    def fresh(self) -> None:
        """No memory goes from round to round: the event queue has it."""

    def resume(self, arrays: tuple[np.ndarray, ...]) -> None:
        """No memory, as in ``fresh``."""

    def queue(self, done: int) -> AsyncQueue:
        """The event queue before the first round; ValueError if rounds are already done."""
        if done:
            raise ValueError("resume does not work with FedBuff: who was at work is not saved")
        job = (self.n_examples, self.epochs, self.payload, self.seed)
        return AsyncQueue(self.fleet, self.plan, *job)


def fleet_server(
    fleet, plan, n_examples, epochs, payload, target, seed
) -> FleetServer | AsyncServer | None:
    """The server for ``fleet`` and ``plan`` as ``run_federation`` gets them; None without fleet."""
    if fleet is None:
        if plan is not None:
            raise ValueError("plan needs a fleet: without one every client that is asked reports")
        return None
    if not isinstance(fleet, Fleet):
        raise TypeError(f"fleet must be a Fleet, got {describe(fleet)}")
    if len(fleet) != len(n_examples):
        raise ValueError(
            f"fleet must have one device for each of the {len(n_examples)} clients, "
            f"got {len(fleet)}"
        )
    plan = RoundPlan(target=target) if plan is None else plan
    if not isinstance(plan, RoundPlan | FedBuff):
        raise TypeError(f"plan must be a RoundPlan or a FedBuff, got {describe(plan)}")
    if plan.payload is not None:  # of the model; a compressed update stays as much shorter
        payload = Payload(plan.payload, round(plan.payload * payload.up / payload.down))
    make = FleetServer if isinstance(plan, RoundPlan) else AsyncServer
    return make(fleet, plan, n_examples, epochs, payload, seed)
