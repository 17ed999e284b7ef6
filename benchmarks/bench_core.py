"""The compiled core against its NumPy twin and a tuned NumPy loop, on this machine: ``make bench``.

Same work, interleaved in one run: 600 MNIST digits, B = 10, E = 5, float32, one thread. Reported
are medians of processor time and their ratios; times differ from machine to machine and from hour
to hour, ratios much less. Dense input is random numbers: nothing to skip.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is imported: one thread each

import statistics
import time

import numpy as np

import fedcore as fc
from fedcore import _reference
from fedcore.training import epoch_orders, kernels

REPEATS = 15
EPOCHS, BATCH, LR = 5, 10, np.float32(0.02)


def numpy_sgd(model, params, x, y, order):
    """Local SGD as one would write it in NumPy for speed: in place, no temporaries to spare."""
    params = params.copy()
    weights = model.unflatten(params)
    for visits in order:
        for start in range(0, len(visits), BATCH):
            batch = visits[start : start + BATCH]
            activations = [x[batch]]
            for W, b in weights[:-1]:
                hidden = activations[-1] @ W
                hidden += b
                activations.append(np.maximum(hidden, 0, out=hidden))
            dz = softmax_in_place(activations[-1] @ weights[-1][0] + weights[-1][1])
            dz[np.arange(len(batch)), y[batch]] -= 1
            dz *= LR / len(batch)
            step_in_place(weights, activations, dz)
    return params


def softmax_in_place(z):
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


def step_in_place(weights, activations, dz):
    for layer in range(len(weights) - 1, -1, -1):
        (W, b), a = weights[layer], activations[layer]
        below = (dz @ W.T) * (a > 0) if layer else None
        W -= a.T @ dz
        b -= dz.sum(axis=0)
        dz = below


def processor_time(job):
    begin = time.process_time()
    job()
    return time.process_time() - begin


def compare(name, model, x, y):
    """Print one row: medians in milliseconds and how many times slower than compiled."""
    order, part = epoch_orders(600, EPOCHS, seed=0), np.arange(600)
    params, out = model.init(seed=0), np.empty(model.n_params, np.float32)
    common = (model.layer_sizes, params, x, y, part, order, BATCH, LR, out)
    jobs = {
        "compiled": lambda: kernels.local_sgd(*common),
        "NumPy": lambda: numpy_sgd(model, params, x, y, order),
        "reference": lambda: _reference.local_sgd(*common),
    }
    times = {job: [] for job in jobs}
    for _ in range(REPEATS):
        for job, run in jobs.items():
            times[job].append(processor_time(run))
    median = {job: 1e3 * statistics.median(values) for job, values in times.items()}
    ratios = [f"{median[job]:9.2f} ms {median[job] / median['compiled']:5.1f} x" for job in jobs]
    print(f"{name:<24}", *ratios)


def main():
    train, _ = fc.datasets.load_mnist()
    digits, labels = train.x[:600], train.y[:600]
    noise = np.random.default_rng(0).standard_normal((600, 784)).astype(np.float32)
    print(fc.info())
    print(f"{'':<24} {'compiled':>20} {'NumPy':>20} {'reference':>20}")
    two_nn = fc.models.MLP(784, 200, 200, 10)
    compare("softmax, MNIST", fc.models.Softmax(784, 10), digits, labels)
    compare("2NN, MNIST", two_nn, digits, labels)
    compare("2NN, dense", two_nn, noise, labels)


if __name__ == "__main__":
    main()
