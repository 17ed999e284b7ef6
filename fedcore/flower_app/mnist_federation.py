"""The app that `make federation` runs: each node holds its own share of MNIST.

In earnest a node would read the data of its owner here. This one cuts its share out of the copy
that comes with the course, and looks at nothing else.
"""

import numpy as np

import fedcore as fc
from fedcore.flower import FlowerRun, client_app, server_app

MODEL = fc.models.MLP(784, 100, 10)


def my_share(context) -> tuple[int, np.ndarray, np.ndarray]:
    """(client, x, y) of this node, from ``partition-id`` and ``num-partitions``."""
    client = int(context.node_config["partition-id"])
    train, _ = fc.datasets.load_mnist()
    parts = fc.partition.iid(train.y, int(context.node_config["num-partitions"]), seed=0)
    return client, train.x[parts[client]], train.y[parts[client]]


def configure(context) -> FlowerRun:
    """The run as ``[tool.flwr.app.config]``, or ``flwr run --run-config``, describes it."""
    config = context.run_config
    _, test = fc.datasets.load_mnist()
    return FlowerRun(
        MODEL,
        test,
        n_clients=int(config["n-clients"]),
        n_rounds=int(config["n-rounds"]),
        fraction=float(config["fraction"]),
        local=fc.LocalSGD(int(config["epochs"]), int(config["batch-size"]), float(config["lr"])),
        seed=int(config["seed"]),
        round_timeout=float(config["round-timeout"]),
        checkpoint=str(config["checkpoint"]) or None,
    )


client = client_app(MODEL, my_share)
server = server_app(configure)
