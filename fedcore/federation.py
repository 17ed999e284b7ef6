"""The federation: select clients, send the model, train, aggregate, evaluate; round after round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from fedcore import partition, strategy_api
from fedcore._progress import Progress
from fedcore._validate import as_float_array, as_int, as_real, describe, require_finite
from fedcore.async_rounds import async_rounds
from fedcore.datasets import Dataset
from fedcore.devices import Fleet, Memory
from fedcore.fedbuff import FedBuff
from fedcore.fleet_reports import AsyncServer, Reports, fleet_server
from fedcore.history import History, RoundRecord
from fedcore.models import MLP
from fedcore.round_plan import RoundPlan
from fedcore.strategies import FedAvg
from fedcore.strategy_api import ClientStrategy, LocalWork, Strategy
from fedcore.training import FLOAT32_MAX, DivergedError, available_cores, local_sgd_many


@dataclass(frozen=True)
class LocalSGD:
    """What a client does in a round: ``epochs`` passes (E) of SGD in batches of ``batch_size`` (B).

    ``batch_size=None`` is one batch of all its examples; with ``epochs=1`` that is FedSGD.
    """

    epochs: int = 1
    batch_size: int | None = 10
    lr: float = 0.1

    def __post_init__(self):
        as_int("epochs", self.epochs, minimum=1)
        if self.batch_size is not None:
            as_int("batch_size", self.batch_size, minimum=1)
        as_real("lr", self.lr, 0, FLOAT32_MAX, include_low=False)


class FederationDiverged(DivergedError):
    """A federation left the finite numbers. The rounds before that are not lost.

    Attributes: round (1-based), client (id), epoch (1-based local epoch), lr; client and epoch are
    None where it only showed in the server's model. history: the History up to the round before
    (None if the rounds came from ``federated_rounds``, whose caller has them).
    """

    def __init__(self, where: str, round: int, client: int | None, epoch: int | None, lr: float):
        super().__init__(client, epoch, lr)
        self.args = (
            f"the federation diverged in round {round}: {where}. The learning rate lr={lr:g} is "
            "probably too large; try a smaller one. The rounds before are in this error's "
            "`history`.",
        )
        self.round = round
        self.history: History | None = None


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
    federation = _Federation(
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
    federation = _Federation(
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


def sample_clients(
    n_clients: int, fraction: float, seed: int, t: int, sampling: str = "fixed"
) -> np.ndarray:
    """The ids (m,) int64, ascending, of those asked in round ``t`` (from 1), from (seed, t).

    sampling: "fixed", m = max(round(fraction * n_clients), 1), uniformly without replacement; or
    "poisson", each client on its own with probability ``fraction``, so m varies and can be 0.
    """
    n_clients = as_int("n_clients", n_clients, minimum=1)
    fraction = _as_fraction(fraction)
    rng = np.random.default_rng(_round_seeds(seed, t)[0])
    if strategy_api.check_sampling(sampling) == "poisson":
        return np.flatnonzero(rng.random(n_clients) < fraction).astype(np.int64)
    m = max(round(fraction * n_clients), 1)
    return np.sort(rng.choice(n_clients, size=m, replace=False, shuffle=False)).astype(np.int64)


def round_seed(seed: int, t: int) -> int:
    """The ``seed`` that local training gets in round ``t`` (from 1), from (seed, t)."""
    return _round_seeds(seed, t)[1]


def _round_seeds(seed: int, t: int) -> tuple[int, int]:
    """Two independent seeds, for the selection and for the epoch orders of round ``t``."""
    entropy = [as_int("seed", seed, minimum=0), as_int("t", t, minimum=1)]
    selection, training = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    return int(selection), int(training)


class State(NamedTuple):
    """What goes from round to round besides the parameters."""

    strategy: Any
    memory: Memory | None  # of the fleet, if there is one


class _Federation:
    """Checked arguments, and the round that they describe."""

    def __init__(
        self,
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
    ):
        _check_types(model, train, test, local, strategy)
        self.model, self.train, self.test = model, train, test
        self.local, self.strategy = local, strategy
        self.payload = strategy_api.payload(strategy, model.n_params)
        self.parts = partition.check(parts, len(train))
        if shared is not None:
            self.parts = partition.with_shared(self.parts, shared, len(train))
        self.fraction = _as_fraction(fraction)
        self.sampling = strategy_api.agree_on_sampling(strategy, sampling, fleet)
        self.seed = as_int("seed", seed, minimum=0)
        cores = available_cores()
        self.threads = cores if threads is None else as_int("threads", threads, minimum=1)
        sizes = np.array([len(part) for part in self.parts])
        target = max(round(self.fraction * len(sizes)), 1)
        self.server = fleet_server(
            fleet, plan, sizes, local.epochs, self.payload, target, self.seed
        )
        if isinstance(plan, FedBuff) and strategy != FedAvg():
            raise ValueError(f"strategy must be FedAvg with FedBuff, got {describe(strategy)}")

    def beginning(self, params, resume) -> tuple[int, np.ndarray, State]:
        """(rounds already done, parameters, state) to go on from."""
        if resume is None:
            params = _check_params(self.model, params, self.seed)
            first = strategy_api.first_state(self.strategy, params, len(self.parts))
            return 0, params, State(first, self.server and self.server.fresh())
        if params is not None:
            raise ValueError("params must be left out when resume is given: it brings its own")
        self._check_resume(resume)
        memory = self.server and self.server.resume(resume.fleet_state)
        return len(resume), resume.params, State(resume.strategy_state, memory)

    def start(self, params, resume) -> History:
        """The History to which the first round is added: ``resume``, or one without rounds."""
        _, params, state = self.beginning(params, resume)
        if resume is not None:
            return resume
        loss, accuracy = self._evaluate(params)
        if not np.isfinite(loss):
            raise ValueError(f"params must give a finite test loss to start from, got {loss}")
        return History(
            rounds=[],
            params=params,
            seed=self.seed,
            model_sizes=self.model.layer_sizes,
            n_clients=len(self.parts),
            initial_loss=loss,
            initial_accuracy=accuracy,
            strategy_state=state.strategy,
            fleet_state=state.memory.arrays() if state.memory else (),
        )

    def histories(self, start: History, n_rounds: int) -> Iterator[History]:
        """A new, complete History after each round: an interrupt can't find a half-written one."""
        rounds = start.rounds
        memory = self.server and self.server.resume(start.fleet_state)
        begin = State(start.strategy_state, memory)
        for record, params, state in self.steps(len(rounds), start.params, begin, n_rounds):
            rounds = [*rounds, record]
            yield replace(
                start,
                rounds=rounds,
                params=params,
                strategy_state=state.strategy,
                fleet_state=state.memory.arrays() if state.memory else (),
                interrupted=False,
            )

    def steps(
        self, done, params, state, n_rounds
    ) -> Iterator[tuple[RoundRecord, np.ndarray, State]]:
        """(record, new parameters, new state) after each round."""
        rounds = count(done + 1) if n_rounds is None else range(done + 1, done + n_rounds + 1)
        if isinstance(self.server, AsyncServer):
            queue = self.server.queue(done)
            todo = (self._train_stale, self._check_aggregate, self._evaluate_finite)
            for record, stepped in async_rounds(queue, params, rounds, *todo):
                yield record, stepped, state
            return
        for t in rounds:
            record, params, state = self._round(t, params, state)
            yield record, params, state

    def _round(self, t, params, state) -> tuple[RoundRecord, np.ndarray, State]:
        begun = time.perf_counter()
        reports, memory = self._reports(t, state.memory)
        clients, n_examples = reports.clients, reports.n_examples
        updates = self._train(t, params, reports, state.strategy)
        trained = time.perf_counter()
        steps = self._steps(n_examples, reports.epochs)
        work = LocalWork(clients, steps, self.local.lr, len(self.parts), self._rate())
        new_params, strategy_state = strategy_api.aggregate(
            self.strategy, state.strategy, params, updates, reports.weights, work
        )
        new_params = self._check_aggregate(t, new_params)
        aggregated = time.perf_counter()
        loss, accuracy = self._evaluate_finite(t, new_params)
        norms = _norms(updates, params)
        evaluated = time.perf_counter()
        record = RoundRecord(
            round=t,
            clients=tuple(clients.tolist()),
            n_examples=tuple(n_examples.tolist()),
            weights=tuple((reports.weights / reports.weights.sum()).tolist()),
            update_norms=norms,
            loss=loss,
            accuracy=accuracy,
            seconds_train=trained - begun,
            seconds_aggregate=aggregated - trained,
            seconds_evaluate=evaluated - aggregated,
            **reports.spent,
        )
        return record, new_params, State(strategy_state, memory)

    def _reports(self, t, memory) -> tuple[Reports, Memory | None]:
        """Whose updates enter the mean in round ``t``, and what the fleet remembers."""
        if self.server is not None:
            return self.server.round(t, memory)
        clients = sample_clients(len(self.parts), self.fraction, self.seed, t, self.sampling)
        n_examples = np.array([len(self.parts[k]) for k in clients], dtype=np.int64)
        down, up = (len(clients) * nbytes for nbytes in self.payload)
        spent = {"bytes_down": down, "bytes_up": up, "n_selected": len(clients)}
        epochs = np.full(len(clients), self.local.epochs)
        return Reports(clients, n_examples, n_examples, epochs, spent), None

    def _steps(self, n_examples, epochs) -> np.ndarray:
        """Gradient steps that each client takes: E * ceil(n_k / B)."""
        batch_size = n_examples if self.local.batch_size is None else self.local.batch_size
        return epochs * -(-n_examples // batch_size)

    def _rate(self) -> float:
        """The chance of a client to be asked in a round."""
        if self.sampling == "poisson":
            return self.fraction
        return max(round(self.fraction * len(self.parts)), 1) / len(self.parts)

    def _train(self, t, params, reports, strategy_state) -> np.ndarray:
        clients = reports.clients
        if len(clients) == 0:
            return np.empty((0, self.model.n_params), dtype=np.float32)
        terms = strategy_api.local_terms(self.strategy, strategy_state, clients).arguments()
        more = {"seed": round_seed(self.seed, t), "epochs": reports.epochs.tolist(), **terms}
        ids = clients.tolist()
        return self._local_sgd(t, params, ids, ids, **more)

    def _train_stale(self, t, base, devices, tasks) -> np.ndarray:
        """Asynchronous: ``devices`` train from ``base``, each its own numbered task."""
        seed = round_seed(self.seed, 1)
        return self._local_sgd(t, base, devices, tasks, seed=seed, epochs=self.local.epochs)

    def _local_sgd(self, t, params, clients, ids, **more) -> np.ndarray:
        """The parameters that ``clients`` send back; their epoch orders follow from ``ids``."""
        try:
            return local_sgd_many(
                self.model,
                params,
                self.train.x,
                self.train.y,
                [self.parts[k] for k in clients],
                batch_size=self.local.batch_size,
                lr=self.local.lr,
                clients=ids,
                threads=self.threads,
                **more,
            )
        except DivergedError as error:
            client = clients[ids.index(error.client)]
            where = f"at client {client} in local epoch {error.epoch}"
            raise self._diverged(
                f"a parameter is not finite {where}", t, client, error.epoch
            ) from error

    def _check_aggregate(self, t, params) -> np.ndarray:
        params = as_float_array("the strategy's new parameters", params, ndim=1)
        if len(params) != self.model.n_params:
            raise ValueError(
                f"the strategy's new parameters must be {self.model.n_params} numbers, "
                f"got {len(params)}"
            )
        with np.errstate(over="ignore"):
            params = params.astype(np.float32, copy=False).view()
        if not np.isfinite(params).all():
            raise self._diverged("the strategy's new parameters are not finite", t)
        params.flags.writeable = False
        return params

    def _evaluate(self, params) -> tuple[float, float]:
        with np.errstate(over="ignore", invalid="ignore"):
            loss, accuracy = self.model.evaluate(params, self.test.x, self.test.y)
        if not np.isfinite(loss):
            require_finite("test.x", self.test.x)  # changed behind our back?
        return loss, accuracy

    def _evaluate_finite(self, t, params) -> tuple[float, float]:
        loss, accuracy = self._evaluate(params)
        if not np.isfinite(loss):
            raise self._diverged(f"the test loss is {loss}", t)
        return loss, accuracy

    def _diverged(self, where, t, client=None, epoch=None) -> FederationDiverged:
        return FederationDiverged(where, t, client, epoch, self.local.lr)

    def _check_resume(self, resume) -> None:
        if not isinstance(resume, History):
            raise TypeError(f"resume must be a History, got {describe(resume)}")
        ours = (self.seed, self.model.layer_sizes, len(self.parts))
        theirs = (resume.seed, tuple(resume.model_sizes), resume.n_clients)
        for name, mine, its in zip(("seed", "layer_sizes", "n_clients"), ours, theirs, strict=True):
            if mine != its:
                raise ValueError(f"resume must have the same {name} as this run, {mine}, got {its}")


def _as_fraction(fraction: float) -> float:
    return as_real("fraction", fraction, 0, 1, include_low=False)


def _norms(updates: np.ndarray, params: np.ndarray) -> tuple[float, ...]:
    """L2 norm of each update - params, summed in float64, the same on any number of threads."""
    delta, norms = np.empty(len(params), dtype=np.float64), []
    for update in updates:
        np.subtract(update, params, out=delta)
        norms.append(float(np.sqrt(np.square(delta, out=delta).sum())))
    return tuple(norms)


def _check_types(model, train, test, local, strategy) -> None:
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a Softmax or an MLP, got {describe(model)}")
    for name, data in (("train", train), ("test", test)):
        if not isinstance(data, Dataset):
            raise TypeError(f"{name} must be a Dataset, got {describe(data)}")
        if data.n_features != model.n_features:
            raise ValueError(
                f"{name} must have {model.n_features} features for {model!r}, got {data!r}"
            )
        if data.n_classes > model.n_classes:
            raise ValueError(
                f"{name} must have at most {model.n_classes} classes for {model!r}, got {data!r}"
            )
    if not isinstance(local, LocalSGD):
        raise TypeError(f"local must be a LocalSGD, got {describe(local)}")
    for method in ("init", "aggregate"):
        if isinstance(strategy, type) or not callable(getattr(strategy, method, None)):
            raise TypeError(
                f"strategy must be an object with init and aggregate, got {describe(strategy)}"
            )


def _check_params(model: MLP, params: np.ndarray | None, seed: int) -> np.ndarray:
    params = model.init(seed) if params is None else model._check_params(params)
    require_finite("params", params)
    params = params.astype(np.float32)
    params.flags.writeable = False
    return params
