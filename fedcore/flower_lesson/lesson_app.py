"""The app of lesson 7: the federation of lesson 1, cut in two halves that Flower can run."""

import fedcore as fc
from fedcore.flower import FlowerRun, client_app, server_app

model = fc.models.Softmax(784, 10)


def my_data(context):
    """What a node holds: (client, x, y). In earnest it would read its owner's own data here."""
    k = int(context.node_config["partition-id"])
    n_clients = int(context.node_config["num-partitions"])
    train, _ = fc.datasets.load_mnist()
    part = fc.partition.iid(train.y, n_clients, seed=0)[k]
    return k, train.x[part], train.y[part]


def configure(context):
    """What the server knows: no data but its own test set, and how many rounds to run."""
    config = context.run_config
    _, test = fc.datasets.load_mnist()
    return FlowerRun(
        model,
        test,
        n_clients=int(config["n-clients"]),
        n_rounds=int(config["n-rounds"]),
        local=fc.LocalSGD(epochs=1, batch_size=10, lr=0.05),
        wait=180.0,  # seconds for all clients to connect
        round_timeout=float(config["round-timeout"]),
        checkpoint=str(config["checkpoint"]),
    )


client = client_app(model, my_data)
server = server_app(configure)
