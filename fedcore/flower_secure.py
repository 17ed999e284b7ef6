"""Secure aggregation over Flower: the server gets the sum of the updates, and never one of them.

The protocol is ``secagg``'s, its four rounds are four messages to each node; a node trains before
it masks. Which nodes die on the way is real here. Flower has a SecAgg+ of its own, which is not
used: in 1.42 its server half (``SecAggPlusWorkflow``) runs inside ``flwr.server``'s older loop of
``FitIns`` and ``FitRes``, and its client half decodes the same; the Message API has neither.

Flower starts a process for each message, so a node keeps in its Context what it must remember:
one secret, from which all its randomness follows, and what it was told. From these it comes back
to where it was, and when it has revealed its shares it forgets the secret. Needs Flower.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from fedcore.flower_messages import ARRAYS, Refused, record, trained
from fedcore.models import MLP
from fedcore.secagg import (
    Client,
    EncryptedShares,
    MaskedInput,
    PublicKeys,
    RevealedShares,
    SecureFedAvg,
    Server,
    Setup,
    UnmaskingRequest,
)
from fedcore.secagg.average import STAGES, Traffic, WeightedRow
from fedcore.secagg.messages import ID_BYTES
from fedcore.secagg.shamir import NUMBER_BYTES

ACTION = "secure"  # of the messages: Flower routes "train.secure"
STAGE, STATE, KEYS, BOXES, SEEDS = "stage", "secagg", "keys", "boxes", "seeds"
DIGEST = "digest"  # beside the boxes of a sender: what its seed must give


def respond(
    model: MLP, secure: SecureFedAvg, message: Message, context: Context, client: int, x, y
) -> RecordDict:
    """A node's answer in one of the four STAGES; x (n_k, features), y (n_k,) are its examples.

    Raises ValueError for terms other than the node's own ``secure``, and for a stage out of turn:
    a second answer to the same question could lay its update open.
    """
    order = message.content[STAGE]
    stage, setup = order["stage"], _setup(secure, order, model)
    done = _begin(context, order) if stage == STAGES[0] else _remembered(context, order)
    if STAGES.index(stage) != done:
        raise ValueError(f"stage {stage} is not due: {done} of {len(STAGES)} are done")
    for name in (KEYS, BOXES):  # what this stage brings, for the stages to come
        if name in message.content:
            context.state[f"{STATE}-{name}"] = message.content[name]
    device = _device(setup, context, done)
    if stage == "advertise":
        content = RecordDict({KEYS: _keys_record([device.advertise()])})
    elif stage == "share":
        content = _shares_record(device.share(_keys(context.state[f"{STATE}-{KEYS}"])))
    elif stage == "mask":
        coder = WeightedRow(secure.bound, secure.max_examples, setup.n_clients, secure.bits)
        delta = trained(model, message, client, x, y) - message.content[ARRAYS]["params"].numpy()
        masked = device.mask(coder.encode(delta, len(x)), _boxes(context))
        content = RecordDict({ARRAYS: ArrayRecord({"masked": Array(masked.values)})})
    else:
        content = _revealed_record(device.reveal(_request(order)))
        del context.state[STATE]["secret"]
    context.state[STATE]["done"] = done + 1
    return content


def _setup(secure: SecureFedAvg, order: ConfigRecord, model: MLP) -> Setup:
    n, threshold = order["n_clients"], order["threshold"]
    terms = (order["bound"], order["max_examples"], order["bits"], threshold)
    own = (secure.bound, secure.max_examples, secure.bits, secure.least(n))
    if terms != own:
        raise ValueError(f"these are the terms {terms} of {n} clients, this node's are {own}")
    return Setup(n, model.n_params + 1, threshold, secure.bits, order["session"])


def _begin(context: Context, order: ConfigRecord) -> int:
    if STATE in context.state and context.state[STATE]["session"] == order["session"]:
        return context.state[STATE]["done"]
    for name in (KEYS, BOXES):
        context.state.pop(f"{STATE}-{name}", None)
    fresh = {"session": order["session"], "me": order["me"], "secret": secrets.token_bytes(32)}
    context.state[STATE] = ConfigRecord({**fresh, "done": 0})
    return 0


def _remembered(context: Context, order: ConfigRecord) -> int:
    if STATE not in context.state or context.state[STATE]["session"] != order["session"]:
        raise ValueError("this node has not advertised its keys in this session")
    return context.state[STATE]["done"]


def _device(setup: Setup, context: Context, done: int) -> Client:
    """The protocol's Client with ``done`` stages behind it, made again from what is remembered."""
    me = context.state[STATE]
    device = Client(me["me"], setup, _Stream(me.get("secret", b"")))
    if done > 0:
        device.advertise()
    if done > 1:
        device.share(_keys(context.state[f"{STATE}-{KEYS}"]))
    if done > 2:  # what it masked is sent already, and not needed to reveal
        device.mask(np.zeros(setup.n_values, dtype=setup.dtype), _boxes(context))
    return device


class _Stream:
    """Random bytes that follow from a secret: SHAKE-256 of it and of how often it was asked."""

    def __init__(self, secret: bytes):
        self._secret, self._calls = secret, 0

    def __call__(self, n: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(self._secret + self._calls.to_bytes(8, "big")).digest(n)


class Summed(NamedTuple):
    """What the server knows after the protocol."""

    mean: np.ndarray  # (P,) float64, of the deltas, weighted
    survivors: tuple[int, ...]  # clients whose update is in it
    moved: tuple[int, int]  # bytes up and down, as SecureFedAvg counts them


class Conversation:
    """The server's side: four questions to ``clients``, of whom some may fall silent.

    ask(stage, {client: content}) gives (client, reply) for those that answer; it and ``refuse``
    (client, reason) are the run's. Raises secagg.Aborted if too few last, and Tampered.
    """

    def __init__(self, secure: SecureFedAvg, clients: list[int], n_params: int, ask, refuse):
        self.clients, self.ask, self.refuse = clients, ask, refuse
        n = len(clients)
        self.setup = Setup(n, n_params + 1, secure.least(n), secure.bits)
        self.coder = WeightedRow(secure.bound, secure.max_examples, n, secure.bits)
        self.terms = {"bound": float(secure.bound), "max_examples": float(secure.max_examples)}
        self.terms |= {"bits": secure.bits, "threshold": self.setup.threshold, "n_clients": n}
        self.server, self.wire = Server(self.setup), Traffic()

    def run(self, orders: Mapping[int, RecordDict]) -> Summed:
        """The mean of the deltas; ``orders``: how each client is to train."""
        everybody = range(len(self.clients))
        self._stage("advertise", {u: RecordDict() for u in everybody}, _read_keys)
        roster = self.server.roster()
        keys = _keys_record(roster.values())
        self.wire.down("share", len(roster) * sum(k.nbytes for k in roster.values()))
        shared = self._stage("share", {u: RecordDict({KEYS: keys}) for u in roster}, _read_shares)
        contents = {}
        for u in shared:
            boxes = self.server.boxes_for(u)
            self.wire.down("mask", sum(ID_BYTES + len(box) for box in boxes.values()))
            packed = ConfigRecord({str(v): box for v, box in boxes.items()})
            contents[u] = RecordDict({BOXES: packed, **orders[self.clients[u]]})
        self._stage("mask", contents, self._read_masked)
        request = self.server.unmasking_request()
        lists = {name: sorted(getattr(request, name)) for name in ("survivors", "dropped")}
        survivors = self.server.survivors
        self.wire.down("reveal", len(survivors) * request.nbytes)
        self._stage("reveal", {u: RecordDict() for u in survivors}, _read_revealed, **lists)
        mean, _ = self.coder.decode(self.server.total())
        moved = (sum(self.wire.bytes_up.values()), sum(self.wire.bytes_down.values()))
        return Summed(mean, tuple(self.clients[u] for u in survivors), moved)

    def _stage(self, stage, contents, read, **more) -> list[int]:
        """Ask one question; who has answered it well."""
        for u, content in contents.items():
            known = {"stage": stage, "session": self.setup.session, "me": u}
            content[STAGE] = ConfigRecord({**known, **self.terms, **more})
        well = []
        numbers = {k: u for u, k in enumerate(self.clients)}
        questions = {self.clients[u]: content for u, content in contents.items()}
        for k, reply in self.ask(stage, questions):
            try:
                message = read(numbers[k], reply)
                self.wire.up(self.server, stage, message)
                well.append(numbers[k])
            except (Refused, ValueError, TypeError, KeyError) as reason:
                self.refuse(k, f"{stage}: {reason}")
        return well

    def _read_masked(self, u: int, reply: Message) -> MaskedInput:
        arrays = record(reply, ARRAYS, ArrayRecord)
        size = self.setup.n_values * self.setup.dtype.itemsize
        if list(arrays) != ["masked"] or len(arrays["masked"].data) > size + 4096:
            raise Refused(f"expected one array named masked of {size} bytes, got {list(arrays)}")
        return MaskedInput(u, arrays["masked"].numpy())


def _keys_record(keys) -> ConfigRecord:
    return ConfigRecord({str(k.sender): k.encryption + k.masking for k in keys})


def _keys(packed: ConfigRecord) -> dict[int, PublicKeys]:
    return {int(u): PublicKeys(int(u), both[:32], both[32:]) for u, both in packed.items()}


def _read_keys(u: int, reply: Message) -> PublicKeys:
    packed = record(reply, KEYS, ConfigRecord)
    both = packed.get(str(u))
    if list(packed) != [str(u)] or not isinstance(both, bytes) or len(both) != 64:
        raise Refused("expected its own two keys of 32 bytes each")
    return PublicKeys(u, both[:32], both[32:])


def _shares_record(shares: EncryptedShares) -> RecordDict:
    boxes = {str(v): box for v, box in shares.boxes.items()}
    return RecordDict({BOXES: ConfigRecord({**boxes, DIGEST: shares.digest})})


def _boxes(context: Context) -> dict[int, bytes]:
    return {int(v): box for v, box in context.state[f"{STATE}-{BOXES}"].items()}


def _read_shares(u: int, reply: Message) -> EncryptedShares:
    packed = dict(record(reply, BOXES, ConfigRecord))
    if not all(isinstance(box, bytes) for box in packed.values()):
        raise Refused("expected sealed boxes of bytes")
    digest = packed.pop(DIGEST, b"")
    return EncryptedShares(u, {int(v): box for v, box in packed.items()}, digest)


def _request(order: ConfigRecord) -> UnmaskingRequest:
    return UnmaskingRequest(frozenset(order["survivors"]), frozenset(order["dropped"]))


def _revealed_record(revealed: RevealedShares) -> RecordDict:
    def packed(shares: Mapping[int, int]) -> ConfigRecord:
        return ConfigRecord({str(u): s.to_bytes(NUMBER_BYTES, "big") for u, s in shares.items()})

    return RecordDict({SEEDS: packed(revealed.seeds), KEYS: packed(revealed.keys)})


def _read_revealed(u: int, reply: Message) -> RevealedShares:
    def shares(name: str) -> dict[int, int]:
        packed: Any = record(reply, name, ConfigRecord)
        if not all(isinstance(share, bytes) for share in packed.values()):
            raise Refused("expected shares of bytes")
        return {int(v): int.from_bytes(share, "big") for v, share in packed.items()}

    return RevealedShares(u, shares(SEEDS), shares(KEYS))
