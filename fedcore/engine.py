"""The engine of ``federation``: checked arguments, and round after round made of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from fedcore import partition, strategy_api
from fedcore._threads import available_cores
from fedcore._validate import as_float_array, as_int, describe, require_finite
from fedcore.async_rounds import async_rounds
from fedcore.datasets import Dataset
from fedcore.devices import Memory
from fedcore.fedbuff import FedBuff
from fedcore.fleet_reports import AsyncServer, Reports, fleet_server
from fedcore.history import History, RoundRecord
from fedcore.models import MLP
from fedcore.rounds import FederationDiverged, LocalSGD, as_fraction, round_seed, sample_clients
from fedcore.strategies import FedAvg
from fedcore.strategy_api import LocalWork
from fedcore.training import DivergedError, local_sgd_many


class State(NamedTuple):
    """What goes from round to round besides the parameters."""

    strategy: Any
    memory: Memory | None  # of the fleet, if there is one


class Engine:
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
        self.fraction = as_fraction(fraction)
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
        norms = update_norms(updates, params)
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


def update_norms(updates: np.ndarray, params: np.ndarray) -> tuple[float, ...]:
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
