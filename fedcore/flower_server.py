"""The server's round over Flower's Grid: ask, wait, check what came, aggregate, keep.

The rounds are those of ``run_federation``: same selection, same seeds, same strategies, same
records. Scheduling, transport, retries and authentication are Flower's. Needs Flower, see
``flower``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from fedcore import flower_messages, flower_plan, flower_secure, strategy_api
from fedcore._validate import as_int, as_real
from fedcore.datasets import Dataset
from fedcore.devices import Fleet, Memory
from fedcore.engine import update_norms
from fedcore.fedbuff import FedBuff
from fedcore.fleet_reports import Reports
from fedcore.flower_messages import Refused
from fedcore.flower_roster import LOG, Roster, ask
from fedcore.history import History, RoundRecord
from fedcore.models import MLP
from fedcore.round_plan import RoundPlan
from fedcore.rounds import FederationDiverged, LocalSGD, as_fraction, round_seed
from fedcore.secagg import Aborted, SecureFedAvg, Tampered
from fedcore.strategies import FedAvg
from fedcore.strategy_api import ClientStrategy, LocalWork, Strategy

_LOCAL, _STRATEGY = LocalSGD(), FedAvg()


class Collected(NamedTuple):
    """What came of a round's questions."""

    clients: Collection[int]  # whose report is good
    n_asked: int
    fold: Callable[[Reports], tuple[np.ndarray, Any]]  # (new parameters, new strategy state)
    norms: Callable[[Reports], tuple[float, ...]]  # of the updates; NaN where nobody can know


@dataclass(frozen=True)
class FlowerRun:
    """A federation as the server sees it: everything but the data, which it never has.

    model, n_rounds, fraction, local, strategy, sampling, seed: as in ``run_federation``. test: the
    server's own test set. n_clients: K; a node says which of them it is, from 0 to K - 1.

    round_timeout: seconds after which a round closes without those that have not answered.
    wait: seconds to wait at the beginning for all K clients; fewer are enough. min_reports: a round
    with fewer valid reports is abandoned, and the model stays as it was. patience: after so many
    abandoned rounds in a row the run ends with an error, which names the file with the rounds.
    checkpoint: an npz file, written by ``History.save`` after each round; if it exists, the run
    goes on from it, until it has ``n_rounds`` rounds in all.

    fleet, plan: as in ``run_federation``: conditions, drop-outs, deadline and over-selection of a
    round are simulated, and only those whose report counts are asked. ``fraction`` then only says
    how many reports a missing ``plan`` wants. FedBuff, which has no rounds, is not for Flower.

    With ``SecureFedAvg`` as strategy the nodes must be ``client_app(..., secure=...)``; the server
    then sees sums only, and the update norms in the records are NaN.

    A node that dies in the middle of sending holds up its round: Flower 1.42 waits up to 180 s for
    the rest, whatever ``round_timeout`` says (OBJECT_PUSH_SESSION_TTL_SECONDS), and then leaves it
    out.

    A report must hold finite float32 numbers, as many as the model has parameters, and come from
    the node that was asked, once. That keeps nonsense out of the mean, not malice: finite numbers
    of any size are averaged, and a node's word for n_k is taken. ``robust`` is about that.
    """

    model: MLP
    test: Dataset
    n_clients: int
    n_rounds: int
    fraction: float = 1.0
    local: LocalSGD = _LOCAL
    strategy: Strategy | ClientStrategy = _STRATEGY
    sampling: str = "fixed"
    fleet: Fleet | None = None
    plan: RoundPlan | None = None
    seed: int = 0
    round_timeout: float = 60.0
    wait: float = 60.0
    min_reports: int = 1
    patience: int = 3
    checkpoint: str | Path | None = None

    def __post_init__(self):
        for name in ("n_clients", "n_rounds", "min_reports", "patience"):
            as_int(name, getattr(self, name), minimum=1)
        for name in ("round_timeout", "wait"):
            as_real(name, getattr(self, name), 0, include_low=False)
        as_int("seed", self.seed, minimum=0)
        as_fraction(self.fraction)
        strategy_api.agree_on_sampling(self.strategy, self.sampling, self.fleet)
        if isinstance(self.plan, FedBuff):
            raise TypeError(
                "plan must be a RoundPlan on Flower, which works in rounds, got FedBuff"
            )
        flower_plan.fleet_of(self, np.zeros(self.n_clients, dtype=np.int64))  # raises if it is bad
        if self.checkpoint is not None and not Path(self.checkpoint).is_absolute():
            raise ValueError(
                "checkpoint must be an absolute path, since Flower chooses the folder in which "
                f"the server runs, got {str(self.checkpoint)!r}"
            )

    def run(self, grid: Grid) -> History:
        """All rounds up to ``n_rounds``, over the nodes of ``grid``; returns their History.

        Raises TimeoutError if no client ever connects, RuntimeError after ``patience`` abandoned
        rounds, FederationDiverged if the new model is not finite, ValueError for a checkpoint of
        another federation. The rounds before are in the checkpoint, and in the error's ``history``.
        """
        history = self.begin()
        roster = Roster(grid, self.n_clients, self.round_timeout)
        if len(history) < self.n_rounds:
            roster.wait(self.n_clients, self.wait)
        idle = 0
        for t in range(len(history) + 1, self.n_rounds + 1):
            try:
                history = self._round(t, history, roster)
            except FederationDiverged as error:
                error.history = history
                raise
            if self.checkpoint is not None:
                history.save(self.checkpoint)
            idle = idle + 1 if history.rounds[-1].abandoned else 0
            if idle >= self.patience:
                kept = f"; the rounds are in {self.checkpoint}" if self.checkpoint else ""
                raise RuntimeError(
                    f"{idle} rounds in a row had fewer than min_reports={self.min_reports} valid "
                    f"reports: the log says why{kept}"
                )
        return history

    def begin(self) -> History:
        """The History to go on from: the checkpoint, or one without rounds."""
        if self.checkpoint is not None and Path(self.checkpoint).exists():
            history = History.load(self.checkpoint)
            ours = (self.seed, self.model.layer_sizes, self.n_clients)
            theirs = (history.seed, history.model_sizes, history.n_clients)
            if ours != theirs:
                raise ValueError(
                    f"checkpoint must be of a run with (seed, layer_sizes, n_clients) = {ours}, "
                    f"got one with {theirs}: {self.checkpoint}"
                )
            LOG.info("going on after round %s of %s", len(history), self.checkpoint)
            return history
        params = self.model.init(self.seed)
        params.flags.writeable = False
        loss, accuracy = self.model.evaluate(params, self.test.x, self.test.y)
        return History(
            rounds=[],
            params=params,
            seed=self.seed,
            model_sizes=self.model.layer_sizes,
            n_clients=self.n_clients,
            initial_loss=loss,
            initial_accuracy=accuracy,
            strategy_state=strategy_api.first_state(self.strategy, params, self.n_clients),
            fleet_state=Memory.fresh(self.n_clients).arrays() if self.fleet else (),
        )

    def _round(self, t: int, history: History, roster: Roster) -> History:
        begun = time.perf_counter()
        roster.update()
        plan = flower_plan.wanted(self, t, history.fleet_state, roster.n_examples())
        collect = self._collect_sum if self._secure else self._collect
        got = collect(t, history, roster, plan[0])
        reports, memory = flower_plan.arrived(*plan, got.clients, self.min_reports)
        reports.spent.setdefault("bytes_down", got.n_asked * self._payload().down)
        reports.spent.setdefault("bytes_up", len(reports.clients) * self._payload().up)
        trained = time.perf_counter()
        params, state = history.params, history.strategy_state
        if not reports.spent["abandoned"]:
            params, state = got.fold(reports)
            params = self._check_aggregate(t, params)
        aggregated = time.perf_counter()
        loss, accuracy = self._evaluate(t, params)
        norms = got.norms(reports)
        weights = reports.weights / max(reports.weights.sum(), 1)
        record = RoundRecord(
            round=t,
            clients=tuple(reports.clients.tolist()),
            n_examples=tuple(reports.n_examples.tolist()),
            weights=tuple(weights.tolist()),
            update_norms=norms,
            loss=loss,
            accuracy=accuracy,
            seconds_train=trained - begun,
            seconds_aggregate=aggregated - trained,
            seconds_evaluate=time.perf_counter() - aggregated,
            **reports.spent,
        )
        LOG.info(
            "round %s of %s: %s of %s clients%s, test accuracy %.4f, loss %.4f, %.1f s",
            *(t, self.n_rounds, len(record.clients), record.n_selected),
            *(", abandoned" if record.abandoned else "", accuracy, loss, record.seconds),
        )
        rounds = [*history.rounds, record]
        fleet_state = memory.arrays() if memory else ()
        new = {"params": params, "strategy_state": state, "fleet_state": fleet_state}
        return replace(history, rounds=rounds, **new)

    def _payload(self) -> strategy_api.Payload:
        return strategy_api.payload(self.strategy, self.model.n_params)

    @property
    def _secure(self) -> bool:
        return isinstance(self.strategy, SecureFedAvg)

    def _collect(self, t, history, roster, wanted) -> Collected:
        """Ask those who are ``wanted`` in round ``t``, and take what is fit to be averaged."""
        orders = self._orders(t, history, roster, wanted)
        updates = {}
        for k, reply in self._ask(t, roster, MessageType.TRAIN, orders):
            try:
                updates[k] = flower_messages.read_update(reply, self.model.n_params)
            except Refused as reason:
                _refuse(t, k, reason)

        def sent(reports) -> np.ndarray:
            rows = [updates[k] for k in reports.clients.tolist()]
            return np.array(rows, dtype=np.float32).reshape(len(rows), self.model.n_params)

        def fold(reports):
            return self._aggregate(history, reports, sent(reports))

        def norms(reports):
            return update_norms(sent(reports), history.params)

        return Collected(updates, len(orders), fold, norms)

    def _collect_sum(self, t, history, roster, wanted) -> Collected:
        """The same by secure aggregation: nobody's update is seen, only their mean."""
        orders = self._orders(t, history, roster, wanted)
        params, (moved,) = history.params, history.strategy_state
        nobody = Collected((), len(orders), None, lambda reports: ())
        if len(orders) < 2:
            LOG.warning(
                "round %s: secure aggregation needs two clients, %s are here", t, len(orders)
            )
            return nobody

        def ask_stage(stage, contents):
            return self._ask(t, roster, f"{MessageType.TRAIN}.{flower_secure.ACTION}", contents)

        talk = flower_secure.Conversation(
            self.strategy, list(orders), self.model.n_params, ask_stage, partial(_refuse, t)
        )
        try:
            summed = talk.run(orders)
        except (Aborted, Tampered) as reason:
            LOG.warning("round %s: %s", t, reason)
            return nobody

        def fold(reports):
            return (params + summed.mean).astype(np.float32), (moved + summed.moved,)

        unknown = (float("nan"),)
        return Collected(summed.survivors, len(orders), fold, lambda r: unknown * len(r.clients))

    def _orders(self, t, history, roster, wanted) -> dict[int, RecordDict]:
        """{client: what it is told to do}, for those of ``wanted`` that are connected."""
        epochs = dict(zip(wanted.clients.tolist(), wanted.epochs.tolist(), strict=True))
        asked = [k for k in epochs if k in roster.clients]
        for k in sorted(set(epochs) - set(asked)):
            LOG.warning("round %s: client %s is selected, and not connected", t, k)
        terms = strategy_api.local_terms(
            self.strategy, history.strategy_state, np.array(asked, dtype=np.int64)
        )
        orders, seed = {}, round_seed(self.seed, t)
        for row, k in enumerate(asked):
            correction = None if terms.correction is None else terms.correction[row]
            more = {"prox_mu": terms.prox_mu, "correction": correction}
            local = replace(self.local, epochs=epochs[k])
            orders[k] = flower_messages.orders(
                history.params, local, t=t, client=k, seed=seed, **more
            )
        return orders

    def _ask(self, t, roster, kind, contents) -> Iterator[tuple[int, Message]]:
        """(client, its reply) for those of ``contents`` that answer in time."""
        who = {roster.clients[k].node_id: k for k in contents}
        by_node = {node_id: contents[k] for node_id, k in who.items()}
        answered = set()
        for node_id, reply in ask(roster.grid, kind, by_node, str(t), self.round_timeout):
            answered.add(node_id)
            yield who[node_id], reply
        for node_id, k in who.items():
            roster.heard(k, node_id in answered)

    def _aggregate(self, history, reports, updates) -> tuple[np.ndarray, Any]:
        n_k = reports.n_examples
        batch = n_k if self.local.batch_size is None else self.local.batch_size
        rate = self.fraction
        if self.sampling == "fixed":
            rate = max(round(self.fraction * self.n_clients), 1) / self.n_clients
        steps = reports.epochs * -(-n_k // batch)
        work = LocalWork(reports.clients, steps, self.local.lr, self.n_clients, rate)
        before = (history.strategy_state, history.params)
        return strategy_api.aggregate(self.strategy, *before, updates, reports.weights, work)

    def _check_aggregate(self, t, params) -> np.ndarray:
        with np.errstate(over="ignore"):
            params = params.astype(np.float32, copy=False).view()
        if not np.isfinite(params).all():
            raise self._diverged("the strategy's new parameters are not finite", t)
        params.flags.writeable = False
        return params

    def _evaluate(self, t, params) -> tuple[float, float]:
        with np.errstate(over="ignore", invalid="ignore"):
            loss, accuracy = self.model.evaluate(params, self.test.x, self.test.y)
        if not np.isfinite(loss):
            raise self._diverged(f"the test loss is {loss}", t)
        return loss, accuracy

    def _diverged(self, where: str, t: int) -> FederationDiverged:
        return FederationDiverged(where, t, None, None, self.local.lr)


def _refuse(t: int, client: int, reason: Any) -> None:
    LOG.warning("round %s: client %s is left out: %s", t, client, reason)
