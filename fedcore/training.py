"""The clients' side: local SGD, one client or many. Checks come first, then the kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcore._core import kernels
from fedcore._threads import available_cores, for_each
from fedcore._validate import (
    as_float_array,
    as_index_array,
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
    prox_mu: float = 0.0,
    correction: np.ndarray | None = None,
) -> np.ndarray:
    """Train on one client's data by mini-batch SGD; returns new parameters (P,) float32.

    params: (P,) float32 or float64, left untouched. x: (n, features) float32 or float64; y: (n,)
    integers. In each of ``epochs`` passes the examples are visited in a new order, drawn from
    (seed, client), in batches of ``batch_size`` (the last may be smaller; None: one batch of all):
    w <- w - lr * (gradient of the mean cross-entropy over the batch + prox_mu * (w - params) +
    correction), from w = params on.

    prox_mu >= 0 is FedProx's pull back to where training began. correction: (P,) float32 or
    float64, added to every gradient; SCAFFOLD's is c - c_k. Both default to nothing.

    Raises TypeError or ValueError that names the argument, and DivergedError if a parameter
    becomes infinite or NaN. Sources: ClientUpdate in Algorithm 1 of McMahan et al. (2017); Li et
    al. (2020), Algorithm 2, for prox_mu; Karimireddy et al. (2020), Algorithm 1, for correction.
    """
    as_int("epochs", epochs, minimum=1)
    if correction is not None:
        as_float_array("correction", correction, ndim=1)
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
        prox_mu=prox_mu,
        correction=correction,
    )[0]


def local_sgd_many(
    model: MLP,
    params: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    parts: Sequence[np.ndarray],
    *,
    epochs: int | Sequence[int] = 1,
    batch_size: int | None = 10,
    lr: float = 0.1,
    seed: int = 0,
    clients: Sequence[int] | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
    prox_mu: float = 0.0,
    correction: np.ndarray | None = None,
) -> np.ndarray:
    """Train many clients from the same parameters; returns their parameters (K, P) float32.

    parts: for each of K clients the rows of x and y that it holds, integers (n_k,), n_k >= 1; the
    data is not copied. epochs: one int for all, or K of them, for clients that do unequal work.
    clients: the K ids from which, with ``seed``, the epoch orders are drawn (default 0 to K-1).
    threads: how many clients train at a time (default: one a core). out: a (K, P) float32 array to
    be written. correction: (K, P), one for each client, or (P,), the same for all. Everything else
    is as in ``local_sgd``, and row k equals ``local_sgd(model, params, x[parts[k]], y[parts[k]],
    epochs=epochs[k], ..., client=clients[k], correction=correction[k])`` bit for bit, whatever the
    number of threads.
    """
    job = _check_job(model, params, x, y, batch_size, lr, seed, prox_mu)
    parts = as_parts(parts, len(x))
    ids = _check_clients(clients, len(parts))
    epochs = _check_epochs(epochs, len(parts))
    corrections = _check_correction(correction, len(parts), model.n_params)
    threads = as_int("threads", threads, minimum=1) if threads is not None else available_cores()
    out = _check_out(out, (len(parts), model.n_params))
    for name, array in (("params", job.params), ("correction", corrections[0])):
        if array is not None and np.may_share_memory(out, array):
            raise ValueError(f"out must not overlap {name}, which every client reads")

    def train(k: int) -> None:
        job.train(parts[k], ids[k], epochs[k], corrections[k], out[k])

    for_each(train, len(parts), threads)
    return out


def clipped_gradient_sum(
    model: MLP,
    params: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray | Sequence[int],
    clip_norm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Sum of single examples' gradients, each clipped: what DP-SGD adds its noise to.

    sum over i in rows of g_i * min(1, clip_norm / |g_i|), where g_i (P,) is the gradient of the
    cross-entropy of x[i] and |g_i| its L2 norm over all layers together. rows: integers (m,); a
    row that is named twice counts twice; none at all (Poisson sampling can draw no example) gives
    zeros. Returns (the sum (P,) float32, the norms |g_i| before clipping (m,) float64).

    Removing one row changes the sum by at most clip_norm, up to the rounding of float32.

    Raises TypeError or ValueError that names the argument, also where a gradient is not finite.
    Source: Abadi et al. (2016), Algorithm 1; the norm from inputs and deltas: Goodfellow (2015),
    "Efficient per-example gradient computations".
    """
    job = _check_job(model, params, x, y, None, 1.0, 0, 0.0)
    rows = as_index_array("rows", rows, len(x))
    clip_norm = as_real("clip_norm", clip_norm, 0, FLOAT32_MAX, include_low=False)
    total, norms = np.empty(model.n_params, np.float32), np.empty(len(rows), np.float64)
    kernels.clipped_gradient_sum(
        model.layer_sizes, job.params, job.x, job.y, rows, clip_norm, total, norms
    )
    if not np.isfinite(norms).all():
        require_finite("params", job.params)
        require_finite("x[rows]", job.x[rows])
        bad = rows[~np.isfinite(norms)][0]
        raise ValueError(f"params are finite, but too large: the gradient of row {bad} is not")
    return total, norms


class _Job:
    """Checked arguments that all clients share."""

    def __init__(self, model, params, x, y, batch_size, lr, seed, prox_mu):
        self.model, self.params, self.x, self.y = model, params, x, y
        self.batch_size, self.lr, self.seed, self.prox_mu = batch_size, lr, seed, prox_mu

    def train(self, part, client, epochs, correction, out) -> None:
        order = epoch_orders(len(part), epochs, self.seed, client)
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
            self.prox_mu,
            correction,
        )
        if bad_epoch:
            require_finite("params", self.params)
            if correction is not None:
                require_finite(f"correction of client {client}", correction)
            require_finite(f"x of client {client}", self.x[part])
            raise DivergedError(client, bad_epoch, self.lr)


def _check_job(model, params, x, y, batch_size, lr, seed, prox_mu) -> _Job:
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
        batch_size,
        as_real("lr", lr, 0, FLOAT32_MAX, include_low=False),
        as_int("seed", seed, minimum=0),
        as_real("prox_mu", prox_mu, 0, FLOAT32_MAX),
    )


def _check_clients(clients: Sequence[int] | None, n_clients: int) -> list[int]:
    if clients is None:
        return list(range(n_clients))
    ids = [as_int(f"clients[{k}]", client, minimum=0) for k, client in enumerate(clients)]
    if len(ids) != n_clients:
        raise ValueError(f"clients must hold {n_clients} ids, one for each part, got {len(ids)}")
    return ids


def _check_epochs(epochs: int | Sequence[int], n_clients: int) -> list[int]:
    if not isinstance(epochs, list | tuple) and np.ndim(epochs) == 0:
        return [as_int("epochs", epochs, minimum=1)] * n_clients
    if len(epochs) != n_clients:
        raise ValueError(f"epochs must hold {n_clients} numbers, one a client, got {len(epochs)}")
    return [as_int(f"epochs[{k}]", value, minimum=1) for k, value in enumerate(epochs)]


def _check_correction(
    correction: np.ndarray | None, n_clients: int, n_params: int
) -> Sequence[np.ndarray | None]:
    """What each client gets: rows of a contiguous float32 array, or None."""
    if correction is None:
        return [None] * n_clients
    shared = isinstance(correction, np.ndarray) and correction.ndim == 1
    correction = as_float_array("correction", correction, ndim=1 if shared else 2)
    expected = (n_params,) if shared else (n_clients, n_params)
    if correction.shape != expected:
        raise ValueError(f"correction must have shape {expected}, got {correction.shape}")
    correction = np.ascontiguousarray(correction, dtype=np.float32)
    return [correction] * n_clients if shared else correction


def _check_out(out: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    if out is None:
        return np.empty(shape, dtype=np.float32)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.float32:
        raise ValueError(f"out must be a float32 array of shape {shape}, got {describe(out)}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be contiguous and writeable")
    return out
