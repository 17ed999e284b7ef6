"""The clients' side: local SGD, one client or many. Checks come first, then the kernel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fedcore._core import kernels
from fedcore._validate import (
    as_float_array,
    as_int,
    as_parts,
    as_real,
    describe,
    require_finite,
)
from fedcore.models import MLP, check_labels

FLOAT32_MAX = float(np.finfo(np.float32).max)


class DivergedError(ArithmeticError):
    """Training left the finite numbers. Attributes: client (id), epoch (1-based), lr."""

    def __init__(self, client: int, epoch: int, lr: float):
        super().__init__(
            f"training diverged at client {client} in local epoch {epoch}: a parameter is not "
            f"finite. The learning rate lr={lr:g} is probably too large; try a smaller one."
        )
        self.client, self.epoch, self.lr = client, epoch, lr


def epoch_orders(n: int, epochs: int, seed: int, client: int = 0) -> np.ndarray:
    """The order (epochs, n) int64 in which a client visits its n examples, from (seed, client)."""
    rng = np.random.default_rng([seed, client])
    orders = np.empty((epochs, n), dtype=np.int64)
    for epoch in range(epochs):
        orders[epoch] = rng.permutation(n)
    return orders


def local_sgd(
    model: MLP,
    params: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int = 1,
    batch_size: int | None = 10,
    lr: float = 0.1,
    seed: int = 0,
    client: int = 0,
) -> np.ndarray:
    """Train on one client's data by mini-batch SGD; returns new parameters (P,) float32.

    params: (P,) float32 or float64, left untouched. x: (n, features) float32 or float64; y: (n,)
    integers. In each of ``epochs`` passes the examples are visited in a new order, drawn from
    (seed, client), in batches of ``batch_size`` (the last may be smaller; None: one batch of all):
    params <- params - lr * gradient of the mean cross-entropy over the batch.

    Raises TypeError or ValueError that names the argument, and DivergedError if a parameter
    becomes infinite or NaN. Source: ClientUpdate in Algorithm 1 of McMahan et al. (2017).
    """
    everything = [np.arange(len(x) if isinstance(x, np.ndarray) else 0)]
    return local_sgd_many(
        model,
        params,
        x,
        y,
        everything,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        clients=[client],
        threads=1,
    )[0]


def local_sgd_many(
    model: MLP,
    params: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    parts: Sequence[np.ndarray],
    *,
    epochs: int = 1,
    batch_size: int | None = 10,
    lr: float = 0.1,
    seed: int = 0,
    clients: Sequence[int] | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Train many clients from the same parameters; returns their parameters (K, P) float32.

    parts: for each of K clients the rows of x and y that it holds, integers (n_k,), n_k >= 1; the
    data is not copied. clients: the K ids from which, with ``seed``, the epoch orders are drawn
    (default 0 to K-1). threads: how many clients train at a time (default: one a core). out: a
    (K, P) float32 array to be written. Everything else is as in ``local_sgd``, and row k equals
    ``local_sgd(model, params, x[parts[k]], y[parts[k]], ..., client=clients[k])`` bit for bit,
    whatever the number of threads.
    """
    job = _check_job(model, params, x, y, epochs, batch_size, lr, seed)
    parts = as_parts(parts, len(x))
    ids = _check_clients(clients, len(parts))
    threads = as_int("threads", threads, minimum=1) if threads is not None else available_cores()
    out = _check_out(out, (len(parts), model.n_params))

    def train(k: int) -> None:
        job.train(parts[k], ids[k], out[k])

    if min(threads, len(parts)) == 1:
        for k in range(len(parts)):
            train(k)
        return out
    with ThreadPoolExecutor(min(threads, len(parts))) as pool:
        try:
            for _ in pool.map(train, range(len(parts))):
                pass
        except BaseException:  # an error or Ctrl-C: what has not begun must not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return out


def available_cores() -> int:
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Job:
    """Checked arguments that all clients share."""

    def __init__(self, model, params, x, y, epochs, batch_size, lr, seed):
        self.model, self.params, self.x, self.y = model, params, x, y
        self.epochs, self.batch_size, self.lr, self.seed = epochs, batch_size, lr, seed

    def train(self, part: np.ndarray, client: int, out: np.ndarray) -> None:
        order = epoch_orders(len(part), self.epochs, self.seed, client)
        batch_size = min(self.batch_size or len(part), len(part))
        bad_epoch = kernels.local_sgd(
            self.model.layer_sizes,
            self.params,
            self.x,
            self.y,
            part,
            order,
            batch_size,
            self.lr,
            out,
        )
        if bad_epoch:
            require_finite("params", self.params)
            require_finite(f"x of client {client}", self.x[part])
            raise DivergedError(client, bad_epoch, self.lr)


def _check_job(model, params, x, y, epochs, batch_size, lr, seed) -> _Job:
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a Softmax or an MLP, got {describe(model)}")
    params = model._check_params(params)
    x = model._check_x(as_float_array("x", x, ndim=2))
    y = check_labels(y, len(x))
    if batch_size is not None:
        batch_size = as_int("batch_size", batch_size, minimum=1)
    return _Job(
        model,
        np.ascontiguousarray(params, dtype=np.float32),
        np.ascontiguousarray(x, dtype=np.float32),
        y,
        as_int("epochs", epochs, minimum=1),
        batch_size,
        as_real("lr", lr, 0, FLOAT32_MAX, include_low=False),
        as_int("seed", seed, minimum=0),
    )


def _check_clients(clients: Sequence[int] | None, n_clients: int) -> list[int]:
    if clients is None:
        return list(range(n_clients))
    ids = [as_int(f"clients[{k}]", client, minimum=0) for k, client in enumerate(clients)]
    if len(ids) != n_clients:
        raise ValueError(f"clients must hold {n_clients} ids, one for each part, got {len(ids)}")
    return ids


def _check_out(out: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    if out is None:
        return np.empty(shape, dtype=np.float32)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.float32:
        raise ValueError(f"out must be a float32 array of shape {shape}, got {describe(out)}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be contiguous and writeable")
    return out
