"""The federation: select clients, send the model, train, aggregate, evaluate; round after round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from fedcore._progress import Progress
from fedcore._validate import as_int, describe
from fedcore.datasets import Dataset
from fedcore.devices import Fleet
from fedcore.engine import Engine
from fedcore.fedbuff import FedBuff
from fedcore.history import History, RoundRecord
from fedcore.models import MLP
from fedcore.round_plan import RoundPlan
from fedcore.rounds import FederationDiverged, LocalSGD, round_seed, sample_clients
from fedcore.strategies import FedAvg
from fedcore.strategy_api import ClientStrategy, Strategy

__all__ = [
    "FederationDiverged",
    "LocalSGD",
    "federated_rounds",
    "round_seed",
    "run_federation",
    "sample_clients",
]

_LOCAL, _STRATEGY = LocalSGD(), FedAvg()


def run_federation(
    model: MLP,
    train: Dataset,
    parts: Sequence[np.ndarray],
    test: Dataset,
    *,
    n_rounds: int,
    fraction: float = 0.1,
    local: LocalSGD = _LOCAL,
    strategy: Strategy | ClientStrategy = _STRATEGY,
    sampling: str = "fixed",
    fleet: Fleet | None = None,
    plan: RoundPlan | FedBuff | None = None,
    seed: int = 0,
    threads: int | None = None,
    on_round: Callable[[RoundRecord], object] | None = None,
    params: np.ndarray | None = None,
    shared: np.ndarray | None = None,
    resume: History | None = None,
    progress: bool | None = None,
) -> History:
    """Run ``n_rounds`` rounds of federated learning and return their History.

    In each round m = max(round(fraction * K), 1) of the K clients are drawn at random, receive the
    model, train it as ``local`` says on their rows of ``train``, and send it back; ``strategy``
    makes the next model of what came, which is evaluated on ``test``.
    Source: Algorithm 1 of McMahan et al. (2017).

    parts: the rows of ``train`` that each of the K clients holds, disjoint, none empty.
    sampling: "fixed" draws m clients as above; "poisson" draws each on its own with probability
    ``fraction``, so a round can have more, fewer or none (then the model stays as it is, unless the
    strategy acts alone). A strategy whose privacy is accounted for one of them refuses the other.
    fleet: the devices, one a client, under whose conditions the rounds run; without one every
    client that is asked reports. With a fleet ``fraction`` only sets m, the default plan's target,
    and the records also hold events, simulated seconds and joules. plan: how the server runs a
    round, see RoundPlan; or FedBuff, for an asynchronous server, which averages by itself
    (``strategy`` must be FedAvg) and can't be resumed.
    seed: everything random follows from (seed, round), so the same seed gives the same result, bit
    for bit, whatever the number of ``threads`` (clients trained at a time; default one a core).
    on_round: called with each RoundRecord as soon as its round is done; an exception in it ends the
    run and reaches the caller. params: initial parameters (P,), default ``model.init(seed)``.
    shared: rows of ``train`` that nobody owns and every client trains on besides its own, public
    data (Zhao et al. 2018, section 4); they count in n_k.
    resume: a History to continue for n_rounds more rounds; model, parts and seed must be the same,
    and then all rounds together equal an uninterrupted run, bit for bit. (A smaller lr or another
    fraction from here on is allowed.) The new History holds the old rounds too.
    progress: True shows a bar, False none; None shows one if the run lasts more than two seconds.

    Interrupting (the notebook's stop button) returns the rounds already done, with
    ``history.interrupted`` set; the round under way is dropped and can be resumed.
    Raises TypeError or ValueError that names the argument, before the first round, and
    FederationDiverged with the History up to the last good round.
    """
    federation = Engine(
        model,
        train,
        parts,
        test,
        fraction,
        local,
        strategy,
        seed,
        threads,
        sampling,
        shared,
        fleet,
        plan,
    )
    n_rounds = as_int("n_rounds", n_rounds, minimum=1)
    if on_round is not None and not callable(on_round):
        raise TypeError(f"on_round must be a function of a RoundRecord, got {describe(on_round)}")
    bar = Progress(progress, n_rounds)
    start = federation.start(params, resume)
    history, interrupted = start, False
    try:
        for history in federation.histories(start, n_rounds):
            bar.step(history.rounds[-1])
            if on_round is not None:
                on_round(history.rounds[-1])
    except KeyboardInterrupt:
        interrupted = True
    except FederationDiverged as error:
        error.history = history
        raise
    finally:
        bar.close()
    return replace(history, interrupted=interrupted)


def federated_rounds(
    model: MLP,
    train: Dataset,
    parts: Sequence[np.ndarray],
    test: Dataset,
    *,
    n_rounds: int | None = None,
    fraction: float = 0.1,
    local: LocalSGD = _LOCAL,
    strategy: Strategy | ClientStrategy = _STRATEGY,
    sampling: str = "fixed",
    fleet: Fleet | None = None,
    plan: RoundPlan | FedBuff | None = None,
    seed: int = 0,
    threads: int | None = None,
    params: np.ndarray | None = None,
    shared: np.ndarray | None = None,
    resume: History | None = None,
) -> Iterator[tuple[RoundRecord, np.ndarray]]:
    """The rounds of ``run_federation``, one at a time: yields (record, parameters (P,) float32).

    Nothing runs ahead: whoever stops asking has stopped the federation. ``n_rounds=None`` goes on
    for ever. Arguments are checked at once, before the first round is asked for; they mean what
    they mean in ``run_federation``, and so do the errors. The parameters are read-only.
    """
    federation = Engine(
        model,
        train,
        parts,
        test,
        fraction,
        local,
        strategy,
        seed,
        threads,
        sampling,
        shared,
        fleet,
        plan,
    )
    if n_rounds is not None:
        n_rounds = as_int("n_rounds", n_rounds, minimum=1)
    steps = federation.steps(*federation.beginning(params, resume), n_rounds)
    return ((record, params) for record, params, _ in steps)
