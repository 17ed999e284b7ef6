"""A small federation for the tests of real processes: 120 examples, and clients that misbehave.

`flwr run` reads it as an app; the tests import it, for the oracle.
"""

import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict

import fedcore as fc
from fedcore.flower import FlowerRun, client_app, server_app

MODEL = fc.models.MLP(64, 8, 5)
LOCAL = fc.LocalSGD(2, 7, 0.1)
SEED = 3
STRATEGIES = {"FedAvg": fc.strategies.FedAvg(), "FedAdam": fc.strategies.FedAdam()}


def everything(n_clients):
    """(all examples, who holds which): n_clients unequal shares."""
    rng = np.random.default_rng(5)
    data = fc.datasets.Dataset(rng.random((120, 64), np.float32), rng.integers(0, 5, 120), 5)
    ends = np.cumsum(np.arange(n_clients) + 3)
    return data, np.split(np.arange(120), 120 * ends[:-1] // ends[-1])


def share(client, n_clients):
    """What ``client_app`` wants to know of a client."""
    data, parts = everything(n_clients)
    return client, data.x[parts[client]], data.y[parts[client]]


def load(context):
    return share(int(context.node_config["partition-id"]), int(context.run_config["n-clients"]))


def misbehave(message, context, call_next):
    """A mod of Flower: `client:fault:round` in the run's settings, one after the other."""
    me, t = str(context.node_config["partition-id"]), message.metadata.group_id
    faults = [fault.split(":") for fault in str(context.run_config["faults"]).split()]
    fault = next((kind for k, kind, when in faults if (k, when) == (me, t)), "")
    flag = Path(str(context.run_config["flags"]), f"{fault}-{me}-{t}")
    if fault == "before":
        _never_again(flag)
    if fault == "during":
        flag.touch()
        while True:
            call_next(message, context)
    reply = call_next(message, context)
    if fault == "after":
        _never_again(flag)
    if fault == "pause":  # until the test says that it may go on
        flag.touch()
        wait_for(flag.with_name("go-on"))
    return Message(spoilt(reply.content, fault), reply_to=message) if fault in BAD else reply


BAD = ("nan", "shape", "dtype")


def spoilt(content, how):
    """``content`` of an honest reply, with what no server should average."""
    update = content["arrays"]["update"].numpy().copy()
    if how == "nan":
        update[7] = np.nan
    bad = {"shape": update[:-1], "dtype": update.astype(np.float64)}.get(how, update)
    return RecordDict({"arrays": ArrayRecord({"update": Array(bad)})})


def _never_again(flag):
    flag.touch()
    time.sleep(600)


def wait_for(flag):
    while not flag.exists():
        time.sleep(0.05)


def configure(context):
    config = context.run_config
    n_clients = int(config["n-clients"])
    return FlowerRun(
        MODEL,
        everything(n_clients)[0],
        n_clients,
        int(config["n-rounds"]),
        fraction=float(config["fraction"]),
        local=LOCAL,
        strategy=STRATEGIES[config["strategy"]],
        seed=SEED,
        round_timeout=float(config["round-timeout"]),
        checkpoint=str(config["checkpoint"]),
    )


client = client_app(MODEL, load, mods=[misbehave])
server = server_app(configure)
