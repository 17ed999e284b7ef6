"""What the Flower side of a federation sends and accepts: messages in, checked arrays out.

Down go the parameters and what the strategy adds to local training; up comes one vector. Whatever
a node sends is checked before it can enter a mean. Needs Flower, see ``flower``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from fedcore._validate import as_int
from fedcore.models import MLP
from fedcore.rounds import LocalSGD
from fedcore.training import local_sgd

ARRAYS, ORDERS, WHO = "arrays", "orders", "who"
HEADER = 4096  # bytes; more than NumPy's own header before the numbers of an array

MOST = 2**31 - 1  # examples of one client: sums of them stay exact

LoadClient = Callable[[Context], tuple[int, np.ndarray, np.ndarray]]


class Refused(ValueError):
    """A reply that must not enter the mean; the message says why."""


def orders(
    params: np.ndarray,
    local: LocalSGD,
    *,
    t: int,
    client: int,
    seed: int,
    prox_mu: float = 0.0,
    correction: np.ndarray | None = None,
) -> RecordDict:
    """What one client is sent in round ``t``: parameters (P,) float32 and how to train them.

    seed: an unsigned 64-bit number, which travels as text: Flower's integers are signed.
    """
    arrays = {"params": Array(params)}
    if correction is not None:
        arrays["correction"] = Array(correction)
    config = {"round": t, "client": client, "seed": str(seed), "prox_mu": float(prox_mu)}
    config |= {"epochs": local.epochs, "lr": float(local.lr)}
    if local.batch_size is not None:  # left out: one batch of all its examples
        config["batch_size"] = local.batch_size
    return RecordDict({ARRAYS: ArrayRecord(arrays), ORDERS: ConfigRecord(config)})


def introduction(client: int, n_examples: int) -> RecordDict:
    """What a node says of itself: which client it is, and n_k."""
    return RecordDict({WHO: ConfigRecord({"client": client, "n_examples": n_examples})})


def read_introduction(reply: Message, n_clients: int) -> tuple[int, int]:
    """(client, n_k) of a node that has introduced itself; Refused if that can't be true."""
    who = record(reply, WHO, ConfigRecord)
    try:
        client = as_int("client", who.get("client"), minimum=0, maximum=n_clients - 1)
        n_examples = as_int("n_examples", who.get("n_examples"), minimum=1, maximum=MOST)
        return client, n_examples
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from error


def answer(model: MLP, message: Message, client: int, x: np.ndarray, y: np.ndarray) -> RecordDict:
    """What to send back for ``message``: the parameters after training, see ``trained``."""
    update = trained(model, message, client, x, y)
    return RecordDict({ARRAYS: ArrayRecord({"update": Array(update)})})


def trained(model: MLP, message: Message, client: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The parameters (P,) after training as ``message`` orders on x (n_k, features), y (n_k,).

    Raises ValueError if the orders are for another client, and what ``local_sgd`` raises.
    """
    arrays, config = message.content[ARRAYS], message.content[ORDERS]
    if config["client"] != client:
        raise ValueError(f"these orders are for client {config['client']}, this is client {client}")
    return local_sgd(
        model,
        arrays["params"].numpy(),
        x,
        y,
        epochs=config["epochs"],
        batch_size=config.get("batch_size"),
        lr=config["lr"],
        seed=int(config["seed"]),
        client=client,
        prox_mu=config["prox_mu"],
        correction=arrays["correction"].numpy() if "correction" in arrays else None,
    )


def read_update(reply: Message, n_params: int) -> np.ndarray:
    """The parameters (P,) float32 that a node sent back; Refused unless they are just that.

    What the message claims of its array is checked before the bytes are read, and again after.
    """
    arrays = record(reply, ARRAYS, ArrayRecord)
    if list(arrays) != ["update"]:
        raise Refused(f"expected one array named update, got {list(arrays)}")
    array = arrays["update"]
    _expect(str(array.dtype), tuple(array.shape), n_params)
    if len(array.data) > 4 * n_params + HEADER:
        raise Refused(f"expected {4 * n_params} bytes and a header, got {len(array.data)}")
    try:
        update = array.numpy()
    except Exception as error:  # bytes from a stranger: NumPy's reader can raise nearly anything
        raise Refused(f"its bytes are no array ({type(error).__name__}: {error})") from error
    _expect(update.dtype.str, update.shape, n_params)
    if not np.isfinite(update).all():
        raise Refused(f"{np.count_nonzero(~np.isfinite(update))} numbers are NaN or infinite")
    return update


def record(reply: Message, name: str, kind: type) -> Any:
    """The record ``name`` of a reply; Refused if there is none, or it is of another kind."""
    if reply.has_error():
        raise Refused(f"error {reply.error.code}: {_last_line(reply.error.reason)}")
    record = reply.content.get(name) if reply.has_content() else None
    if not isinstance(record, kind):
        raise Refused(f"expected a {kind.__name__} named {name}, and found none")
    return record


def _expect(dtype: str, shape: tuple[int, ...], n_params: int) -> None:
    if dtype not in ("float32", np.dtype(np.float32).str) or shape != (n_params,):
        raise Refused(f"expected float32 of shape ({n_params},), got {dtype} of shape {shape}")


def _last_line(reason: str | None) -> str:
    """The end of a traceback says what happened; the rest is for the node's own log."""
    lines = [line.strip() for line in (reason or "").splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
