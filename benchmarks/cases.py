"""What is measured. Each function returns {case: {peer: {"cpu", "wall", "values"}}}, in seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import peers
from interleave import measure

import fedcore as fc
from fedcore.training import epoch_orders

HERE = Path(__file__).resolve().parent
TWO_NN = fc.models.MLP(784, 200, 200, 10)
BATCH, LR = 10, 0.02


def training(absent, n=600, epochs=5, rounds=15):
    """Local SGD, one client, one thread: ``n`` examples, B = 10."""
    train, _ = fc.datasets.load_mnist()
    dense = np.random.default_rng(0).standard_normal((n, 784)).astype(np.float32)
    softmax = fc.models.Softmax(784, 10)
    return {
        "softmax, MNIST": _train(softmax, train.x[:n], train.y[:n], epochs, rounds, absent),
        "2NN, MNIST": _train(TWO_NN, train.x[:n], train.y[:n], epochs, rounds, absent),
        "2NN, dense input": _train(TWO_NN, dense, train.y[:n], epochs, rounds, absent),
    }


def _train(model, x, y, epochs, rounds, absent):
    order, part = epoch_orders(len(x), epochs, seed=0), np.arange(len(x))
    params, out = model.init(seed=0), np.empty(model.n_params, np.float32)
    kernel = (model.layer_sizes, params, x, y, part, order, BATCH, LR, out)
    work = (model, params, x, y, order, BATCH, LR)
    jobs = {
        "fedcore": lambda: fc.training.kernels.local_sgd(*kernel),
        "NumPy": lambda: peers.numpy_sgd(*work),
    }
    if "PyTorch" not in absent:
        torch = peers.Torch(model)
        jobs["PyTorch"] = lambda: torch.sgd(*work)
    return measure(jobs, rounds)


def averaging(absent, shapes=((100, 199_210), (1000, 199_210), (10, 10_000_000)), rounds=7):
    """The weighted average, from a list of arrays and from one array; a plain read is the floor."""
    cases, rng = {}, np.random.default_rng(0)
    for n_clients, n_params in shapes:
        array = rng.standard_normal((n_clients, n_params), dtype=np.float32)
        several = [row.copy() for row in array]
        weights = rng.integers(1, 1000, n_clients)
        jobs = {
            "plain read": lambda several=several: [float(np.dot(row, row)) for row in several],
            "fedcore": lambda s=several, w=weights: fc.weighted_average(s, w),
            "fedcore, (K, P) array": lambda a=array, w=weights: fc.weighted_average(a, w),
            "NumPy": lambda s=several, w=weights: peers.numpy_average(s, w),
        }
        if "Flower" not in absent:
            jobs["Flower"] = lambda s=several, w=weights: peers.flower_average(s, w)
        cases[f"average, {n_clients} x {n_params:,}"] = measure(jobs, rounds)
    return cases


def average_error(n_clients=100, n_params=199_210):
    """Largest error of the average relative to the largest float64 sum of the parameter's terms."""
    rng = np.random.default_rng(1)
    updates = rng.standard_normal((n_clients, n_params), dtype=np.float32)
    weights = rng.integers(1, 1000, n_clients)
    share = weights / weights.sum()
    exact = share @ updates.astype(np.float64)
    size = share @ np.abs(updates).astype(np.float64)
    return float((np.abs(fc.weighted_average(updates, weights) - exact) / size).max())


def cores_free(seconds=0.1):
    """What two threads do together over what one does alone, in plain multiplication: 2 if free."""
    a = np.ones((256, 256), np.float32)

    def work(done):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            np.matmul(a, a, out=np.empty_like(a))
            done.append(1)

    alone, one, two = [], [], []
    work(alone)
    both = [threading.Thread(target=work, args=(done,)) for done in (one, two)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    return (len(one) + len(two)) / len(alone)


def threads(n_clients=100, rounds=31):
    """Wall time of local_sgd_many on one and two threads, in rounds where both cores were free."""
    train, _ = fc.datasets.load_mnist()
    cases = {}
    for name, model in (("softmax", fc.models.Softmax(784, 10)), ("2NN", TWO_NN)):
        parts = fc.partition.iid(train.y, n_clients=100, seed=0)[:n_clients]
        params, speedups, probes = model.init(seed=0), [], []
        for _ in range(rounds):
            probe, walls = cores_free(), []
            for n in (1, 2):
                begin = time.perf_counter()
                fc.local_sgd_many(model, params, train.x, train.y, parts, epochs=1, threads=n)
                walls.append(time.perf_counter() - begin)
            speedups.append(walls[0] / walls[1])
            probes.append(min(probe, cores_free()))
        free = [s for s, probe in zip(speedups, probes, strict=True) if probe >= 1.9]
        cases[name] = {
            "all": float(np.median(speedups)),
            "free": float(np.median(free)) if free else None,
            "rounds free": len(free),
            "rounds": rounds,
            "probe": float(np.median(probes)),
        }
    return cases


def federation(absent, epochs=1, n_rounds=20, n_clients=100, fraction=0.1, lr=0.1, flower_rounds=5):
    """Whole runs of FedAvg with the 2NN, evaluation of all test images in; a process for each."""
    runs = {}
    for name in ("fedcore", "NumPy", "PyTorch", "Flower"):
        if name in absent or (name == "Flower" and "Flower, simulation" in absent):
            continue
        script = ["flower_simulation.py"] if name == "Flower" else ["federation_run.py", name]
        rounds = flower_rounds if name == "Flower" else n_rounds
        arguments = map(str, (rounds, epochs, n_clients, fraction, 0.1))
        done = _script([*script, *arguments])
        if done.returncode:
            absent[f"{name}, federation"] = done.stderr.strip().splitlines()[-1]
            continue
        result = json.loads(done.stdout.strip().splitlines()[-1])
        runs[name] = result | {"wall": float(np.median(result["walls"])), "rounds": rounds}
    return runs


def _script(command):
    paths = [str(HERE), str(HERE.parent)]
    return subprocess.run(
        [sys.executable, *command],
        cwd=HERE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )


def scale(registered=(100, 1000, 10_000, 100_000), sampled=(1, 2, 5, 10, 20, 50), rounds=5):
    """Wall seconds of a round by registered clients (10 sampled), by sampled ones, of partition."""
    train, test = fc.datasets.load_mnist()
    few = fc.datasets.Dataset(test.x[:100], test.y[:100], 10)
    local, model = fc.LocalSGD(epochs=1, batch_size=10, lr=0.1), fc.models.Softmax(784, 10)
    by_registered, by_sampled = {}, {}
    for n_clients in registered:
        by_registered[n_clients] = _round_of_many(n_clients, local, rounds)
    parts = fc.partition.iid(train.y, n_clients=100, seed=0)
    for m in sampled:
        by_sampled[m] = _seconds_a_round(model, train, parts, few, m / 100, local, rounds)
    partitions = {
        "iid": lambda: fc.partition.iid(train.y, n_clients=10_000, seed=0),
        "shards": lambda: fc.partition.shards(
            train.y, n_clients=10_000, shards_per_client=2, seed=0
        ),
        "dirichlet": lambda: fc.partition.dirichlet(train.y, n_clients=10_000, alpha=0.3, seed=0),
    }
    seconds = {}
    for name, job in partitions.items():
        if hasattr(fc.partition, name):
            seconds[name] = measure({name: job}, rounds)[name]["wall"]
    return {"registered": by_registered, "sampled": by_sampled, "partition": seconds}


def _round_of_many(n_clients, local, rounds, examples=2, n_features=50):
    """10 clients of ``examples`` examples each, out of so many registered ones; random data."""
    rng, n = np.random.default_rng(0), n_clients * examples
    data = fc.datasets.Dataset(rng.random((n, n_features), np.float32), rng.integers(0, 10, n), 10)
    few = fc.datasets.Dataset(data.x[:100], data.y[:100], 10)
    parts = list(np.arange(n).reshape(n_clients, examples))
    model = fc.models.Softmax(n_features, 10)
    return _seconds_a_round(model, data, parts, few, 10 / n_clients, local, rounds)


def _seconds_a_round(model, train, parts, test, fraction, local, rounds):
    """Median over rounds, of one run: what happens once, before the first, does not count."""
    walls, begin = [], None
    for _ in fc.federated_rounds(
        model, train, parts, test, n_rounds=rounds + 1, fraction=fraction, local=local, threads=1
    ):
        now = time.perf_counter()
        if begin is not None:
            walls.append(now - begin)
        begin = now
    return float(np.median(walls))


def peak(size=1024, rounds=7):
    """GFLOP/s of NumPy's float32 matrix product, one thread: what this machine can multiply."""
    a = np.ones((size, size), np.float32)
    seconds = measure({"sgemm": lambda: a @ a}, rounds)["sgemm"]["cpu"]
    return 2e-9 * size**3 / seconds


def flops(n, epochs, model=TWO_NN):
    """Multiplications and additions of the dense textbook algorithm: 6 a weight, 4 in layer one."""
    sizes = model.layer_sizes
    weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    return n * epochs * (4 * weights[0] + 6 * sum(weights[1:]))
