"""FedAvg on MNIST by one of those compared; prints its seconds, accuracy and memory as JSON.

A process of its own for each, so that the peak of memory is that of this one alone: bench.py runs
``python benchmarks/federation_run.py NAME ROUNDS EPOCHS N_CLIENTS FRACTION LR``.
"""

import json
import os
import re
import resource
import sys
import time
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy is imported

import numpy as np
import peers

import fedcore as fc
from fedcore.training import epoch_orders

MODEL = fc.models.MLP(784, 200, 200, 10)
BATCH = 10


def fedcore_rounds(train, test, parts, n_rounds, epochs, fraction, lr):
    """(accuracy, seconds spent on evaluation) after each round: fedcore, all cores."""
    local = fc.LocalSGD(epochs=epochs, batch_size=BATCH, lr=lr)
    for record, _ in fc.federated_rounds(
        MODEL, train, parts, test, n_rounds=n_rounds, fraction=fraction, local=local, seed=0
    ):
        yield record.accuracy, record.seconds_evaluate


def loop_rounds(sgd, accuracy, train, test, parts, n_rounds, epochs, fraction, lr):
    """The loop that everybody writes: one client after the other, one thread."""
    params = MODEL.init(seed=0)
    for t in range(1, n_rounds + 1):
        chosen = fc.federation.sample_clients(len(parts), fraction, 0, t)
        updates = []
        for k in chosen:
            order = epoch_orders(len(parts[k]), epochs, t, int(k))
            part = parts[k]
            updates.append(sgd(MODEL, params, train.x[part], train.y[part], order, BATCH, lr))
        params = peers.numpy_average(updates, [len(parts[k]) for k in chosen])
        begin = time.perf_counter()
        last = float(accuracy(MODEL, params, test.x, test.y))
        yield last, time.perf_counter() - begin


def start(name, *work):
    """The rounds of one of those compared."""
    if name == "fedcore":
        return fedcore_rounds(*work)
    if name == "NumPy":
        return loop_rounds(peers.numpy_sgd, peers.numpy_accuracy, *work)
    if name == "PyTorch":
        torch = peers.Torch(MODEL)
        return loop_rounds(torch.sgd, torch.accuracy, *work)
    raise ValueError(f"name must be fedcore, NumPy or PyTorch, got {name!r}")


def run(name, n_rounds, epochs, n_clients, fraction, lr):
    train, test = fc.datasets.load_mnist()
    parts = fc.partition.iid(train.y, n_clients=n_clients, seed=0)
    rounds = start(name, train, test, parts, n_rounds, epochs, fraction, lr)
    walls, evaluations, accuracies, cpu = [], [], [], time.process_time()
    begin = time.perf_counter()
    for accuracy, evaluation in rounds:
        walls.append(time.perf_counter() - begin)
        evaluations.append(evaluation)
        accuracies.append(accuracy)
        begin = time.perf_counter()
    return {
        "walls": walls,
        "evaluation": float(np.median(evaluations)),
        "cpu": (time.process_time() - cpu) / n_rounds,
        "accuracy": accuracies[-1],
        "peak_mb": peak_mb(),
    }


def peak_mb():
    """Most memory it held. On Linux getrusage counts that of the process that began it too."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    counts, reals = map(int, sys.argv[2:5]), map(float, sys.argv[5:7])
    print(json.dumps(run(sys.argv[1], *counts, *reals)))
