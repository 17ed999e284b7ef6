"""SuperNodes that don't keep to the rules: they speak to the SuperLink without Flower's ClientApp.

    python tests/flower_rogue.py ADDRESS N_CLIENTS FLAGS CLIENT:KIND ...

Each pair is a node of its own. All use Flower's own connection, train as told, and in round 1
send what their KIND says; afterwards they are honest.
"""

import sys
import threading
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents, pull_objects
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.fleet_http_connection import http_request_response

sys.path.insert(0, str(Path(__file__).parent / "flower_small"))
import small

from fedcore.flower_messages import answer, introduction

POISON = np.full(small.MODEL.n_params, 1e6, dtype=np.float32)
LOCK = threading.Lock()  # Flower's idea of which task is at work is one for the process


class Rogue:
    """One node: ``client`` is who it says it is."""

    def __init__(self, client, kind, n_clients, flags, connection):
        self.client, self.kind, self.n_clients, self.flags = client, kind, n_clients, flags
        self.node_id, self.receive, self.send, _, _, self.pull, self.push, self.confirm = connection

    def work(self):
        while True:
            message = self.next_message()
            if message is None:
                time.sleep(0.1)
            elif message.metadata.message_type == "query":
                self.reply(message, introduction(self.client, self.n_examples()))
            else:
                self.train(message)

    def next_message(self):
        received = self.receive()
        if received is None:
            return None
        message, tree = received
        run_id, message_id = message.metadata.run_id, message.metadata.message_id
        ids = [part.object_id for part in iterate_object_tree(tree)]
        contents = pull_objects(ids, pull_object_fn=lambda name: self.pull(run_id, name))
        self.confirm(run_id, message_id)
        message = inflate_object_from_contents(message_id, contents)
        message.metadata.__dict__["_message_id"] = message_id
        return message

    def n_examples(self):
        known = self.client < self.n_clients
        return len(small.share(self.client, self.n_clients)[1]) if known else 7

    def train(self, message):
        content = answer(small.MODEL, message, *small.share(self.client, self.n_clients))
        poison = RecordDict({"arrays": ArrayRecord({"update": Array(POISON)})})
        kind = self.kind if message.metadata.group_id == "1" else "honest"
        if kind == "late":
            small.wait_for(self.flags / "late-may-send")
            self.reply(message, poison)
            (self.flags / "late-has-sent").touch()
            return
        self.reply(message, small.spoilt(content, kind))
        if kind == "twice":
            self.reply(message, poison)
            (self.flags / "twice-has-sent").touch()

    def reply(self, message, content):
        with LOCK:
            TaskIdentity.task_id, TaskIdentity.run_id = 1, message.metadata.run_id
            TaskIdentity.node_id = self.node_id
            reply = Message(content, reply_to=message)
        reply.metadata.__dict__["_message_id"] = reply.object_id
        wanted, session = self.send(reply, get_object_tree(reply), 0.0)
        objects = get_all_nested_objects(reply)
        for name in wanted:
            self.push(message.metadata.run_id, session, name, objects[name].deflate())


def serve(address, client, kind, n_clients, flags):
    with http_request_response(address, insecure=True) as connection:
        Rogue(client, kind, n_clients, flags, connection).work()


if __name__ == "__main__":
    address, n_clients, flags, *pairs = sys.argv[1:]
    threads = []
    for pair in pairs:
        client, kind = pair.split(":")
        arguments = (address, int(client), kind, int(n_clients), Path(flags))
        threads.append(threading.Thread(target=serve, args=arguments))
        threads[-1].start()
    for thread in threads:  # Flower's own pool of threads ends with the main one
        thread.join()
