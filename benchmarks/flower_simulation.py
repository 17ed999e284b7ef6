"""FedAvg in Flower's simulation engine, clients in PyTorch; prints seconds and accuracy as JSON.

A process of its own, since the engine starts others: bench.py runs
``python benchmarks/flower_simulation.py ROUNDS EPOCHS N_CLIENTS FRACTION LR``.
"""

import json
import os
import sys
import threading
import time
from itertools import pairwise

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import psutil
from flwr.client import ClientApp, NumPyClient
from flwr.common import ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

import fedcore as fc

N_ROUNDS, EPOCHS, N_CLIENTS = map(int, sys.argv[1:4])
FRACTION, LR = map(float, sys.argv[4:6])
MODEL = fc.models.MLP(784, 200, 200, 10)
RECORD = {"rounds": [], "peak_mb": 0.0}


def data():
    train, test = fc.datasets.load_mnist()
    return train, test, fc.partition.iid(train.y, n_clients=N_CLIENTS, seed=0)


class Client(NumPyClient):
    """Trains by PyTorch on its own part, loaded once in each worker process."""

    cache = None

    def __init__(self, k):
        self.k = k
        Client.cache = Client.cache or data()

    def fit(self, parameters, config):
        from peers import Torch

        train, _, parts = Client.cache
        x, y = train.x[parts[self.k]], train.y[parts[self.k]]
        order = fc.training.epoch_orders(len(x), EPOCHS, 0, self.k)
        return [Torch(MODEL).sgd(MODEL, parameters[0], x, y, order, 10, LR)], len(x), {}


def evaluate(server_round, parameters, config):
    from peers import Torch

    _, test, _ = evaluate.data
    accuracy = Torch(MODEL).accuracy(MODEL, np.asarray(parameters[0]), test.x, test.y)
    RECORD["rounds"].append((time.perf_counter(), accuracy))
    return 1 - accuracy, {"accuracy": accuracy}


def server(context):
    strategy = FedAvg(
        fraction_fit=FRACTION,
        fraction_evaluate=0.0,
        min_fit_clients=1,
        min_available_clients=N_CLIENTS,
        initial_parameters=ndarrays_to_parameters([MODEL.init(seed=0)]),
        evaluate_fn=evaluate,
    )
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=N_ROUNDS))


def client(context):
    return Client(int(context.node_config["partition-id"])).to_client()


def watch_memory(seconds=1.0):
    """Keep the largest sum over this process and those it started; shared pages count once."""
    this = psutil.Process()
    while True:
        total = 0
        for process in (this, *this.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue  # it ended since it was listed
        RECORD["peak_mb"] = max(RECORD["peak_mb"], total / 2**20)
        time.sleep(seconds)


if __name__ == "__main__":
    threading.Thread(target=watch_memory, daemon=True).start()
    evaluate.data = data()
    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(
        server_app=ServerApp(server_fn=server),
        client_app=ClientApp(client_fn=client),
        num_supernodes=N_CLIENTS,
        backend_config=resources,
    )
    ends = [moment for moment, _ in RECORD["rounds"]]  # the first: before any round
    walls = [end - begin for begin, end in pairwise(ends)]
    result = {"walls": walls, "accuracy": RECORD["rounds"][-1][1], "peak_mb": RECORD["peak_mb"]}
    print(json.dumps(result | {"cpu": None, "evaluation": None}))
