"""Who is connected, and which client each node is; questions, and the answers that count.

Needs Flower, see ``flower``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from fedcore import flower_messages
from fedcore.flower_messages import Refused

LOG = logging.getLogger("flwr.fedcore")  # below Flower's, so that `flwr run --stream` shows it
POLL = 2.0  # seconds between two looks at who is connected
PULL = 0.25  # and at which replies have come; Grid.send_and_receive takes 3


class Node(NamedTuple):
    """Who speaks for a client, and how many examples it says that it holds."""

    node_id: int
    n_examples: int


class Roster:
    """Which connected node is which client. Each node is asked once; the first to claim one is it.

    A second one waits. It takes over when the first is gone, or has not answered the last time: a
    SuperNode that was killed counts as connected for up to a minute, and without a key of its own
    the one that replaces it has a new id.
    """

    def __init__(self, grid: Grid, n_clients: int, timeout: float):
        self.grid, self.n_clients, self.timeout = grid, n_clients, timeout
        self.clients: dict[int, Node] = {}
        self._waiting: dict[int, tuple[int, int]] = {}  # {node id: (client, n_examples)}
        self._n_examples = np.zeros(n_clients, dtype=np.int64)
        self._refused: set[int] = set()
        self._silent: set[int] = set()  # node ids: not answered the last time

    def update(self) -> None:
        """Forget the nodes that are gone, and get to know those that are new."""
        here = set(self.grid.get_node_ids())
        self._refused &= here
        self._silent &= here
        self.clients = {k: node for k, node in self.clients.items() if node.node_id in here}
        self._waiting = {node: claim for node, claim in self._waiting.items() if node in here}
        for node_id, (client, n_examples) in list(self._waiting.items()):
            self._claim(node_id, client, n_examples)
        known = {node.node_id for node in self.clients.values()} | self._refused | {*self._waiting}
        if new := sorted(here - known):
            asked = {node_id: RecordDict() for node_id in new}
            for node_id, reply in ask(self.grid, MessageType.QUERY, asked, "", self.timeout):
                self._enter(node_id, reply)

    def n_examples(self) -> np.ndarray:
        """n_k (K,) int64, as each client's node told it last; 0: nobody has spoken for it yet."""
        return self._n_examples.copy()

    def heard(self, client: int, answered: bool) -> None:
        """Whether ``client`` has answered; a silent one can be replaced by the next ``update``."""
        (self._silent.discard if answered else self._silent.add)(self.clients[client].node_id)

    def _enter(self, node_id: int, reply: Message) -> None:
        try:
            claim = flower_messages.read_introduction(reply, self.n_clients)
        except Refused as reason:
            self._refused.add(node_id)
            LOG.warning("node %s is left out: %s", node_id, reason)
        else:
            self._claim(node_id, *claim)

    def _claim(self, node_id: int, client: int, n_examples: int) -> None:
        holder = self.clients.get(client)
        if holder is None or holder.node_id in self._silent:
            self.clients[client] = Node(node_id, n_examples)
            self._n_examples[client] = n_examples
            self._waiting.pop(node_id, None)
            LOG.info("client %s is node %s, with %s examples", client, node_id, n_examples)
            if holder is not None:  # it may only have been slow
                self._waiting[holder.node_id] = (client, holder.n_examples)
        elif node_id not in self._waiting:
            self._waiting[node_id] = (client, n_examples)
            other = holder.node_id
            LOG.warning("node %s is left out: client %s is node %s already", node_id, client, other)

    def wait(self, n_wanted: int, seconds: float) -> None:
        """Until ``n_wanted`` clients are there, at most so long; TimeoutError if none came."""
        end = time.monotonic() + seconds
        self.update()
        while len(self.clients) < n_wanted and time.monotonic() < end:
            time.sleep(POLL)
            self.update()
        if not self.clients:
            raise TimeoutError(
                f"no client connected within {seconds:g} s: start the SuperNodes, and look into "
                "their logs"
            )
        LOG.info("%s of %s clients are connected", len(self.clients), n_wanted)


def ask(
    grid: Grid, kind: str, contents: dict[int, RecordDict], group: str, timeout: float
) -> Iterable[tuple[int, Message]]:
    """(node id, its reply) for those of ``contents`` that answer in time, each at most once.

    A reply to nothing that was asked, a second one, and one that another node sent are left out.
    Who sent it is what the SuperLink says: without node authentication it believes the sender, so
    that whoever knows a message's id can answer in another node's name (seen in Flower 1.42).
    """
    messages = [
        Message(content, dst_node_id=node_id, message_type=kind, ttl=timeout, group_id=group)
        for node_id, content in contents.items()
    ]
    sent = list(grid.push_messages(messages)) if messages else []
    waiting = {sent_id: node_id for sent_id, node_id in zip(sent, contents, strict=True) if sent_id}
    for node_id in set(contents) - set(waiting.values()):
        LOG.warning("node %s can't be asked: the SuperLink did not take the message", node_id)
    del messages  # as large as the model times the clients
    end = time.monotonic() + timeout
    while waiting:
        for reply in grid.pull_messages(list(waiting)):
            node_id = _answered(reply, waiting)
            if node_id is not None:
                yield node_id, reply
        if time.monotonic() > end:
            break
        time.sleep(PULL if waiting else 0)
    for node_id in waiting.values():
        LOG.warning("node %s has not answered within %g s: left out", node_id, timeout)


def _answered(reply: Message, waiting: dict[str, int]) -> int | None:
    """Whose reply it is, which is then no longer in ``waiting``; None if it must not count."""
    node_id = waiting.get(reply.metadata.reply_to_message_id)
    if node_id is None:
        LOG.warning("a reply to nothing that is open is left out: %s", reply.metadata)
    elif reply.has_content() and reply.metadata.src_node_id != node_id:
        LOG.warning("node %s answered for node %s: left out", reply.metadata.src_node_id, node_id)
        node_id = None
    else:
        del waiting[reply.metadata.reply_to_message_id]
    return node_id
