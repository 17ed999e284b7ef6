"""The same work as others would do it: NumPy, PyTorch, Flower. Absent packages are named.

Each peer gets the same examples, in the same batches and the same order, in float32.
"""

from __future__ import annotations

import importlib
import warnings
from itertools import pairwise

import numpy as np


def missing() -> dict[str, str]:
    """{peer: why} for those that cannot take part; never dropped in silence."""
    absent = {}
    for peer, modules in {
        "PyTorch": ["torch"],
        "Flower": ["flwr"],
        "Flower, simulation": ["flwr", "ray", "psutil"],
    }.items():
        for module in modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                absent[peer] = f"{error}; python -m pip install -e '.[bench]'"
    return absent


def numpy_sgd(model, params, x, y, order, batch_size, lr):
    """Local SGD as one would write it in NumPy for speed: in place, no temporaries to spare."""
    params, lr = params.copy(), np.float32(lr)
    weights = model.unflatten(params)
    for visits in order:
        for start in range(0, len(visits), batch_size):
            batch = visits[start : start + batch_size]
            activations = numpy_forward(weights, x[batch])
            dz = activations.pop()
            dz[np.arange(len(batch)), y[batch]] -= 1
            dz *= lr / np.float32(len(batch))
            for layer in range(len(weights) - 1, -1, -1):
                (W, b), a = weights[layer], activations[layer]
                below = (dz @ W.T) * (a > 0) if layer else None
                W -= a.T @ dz
                b -= dz.sum(axis=0)
                dz = below
    return params


def numpy_forward(weights, x):
    """[x, hidden activations, class probabilities]."""
    activations = [x]
    for W, b in weights[:-1]:
        hidden = activations[-1] @ W
        hidden += b
        activations.append(np.maximum(hidden, 0, out=hidden))
    z = activations[-1] @ weights[-1][0] + weights[-1][1]
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return [*activations, z]


def numpy_accuracy(model, params, x, y):
    return (numpy_forward(model.unflatten(params), x)[-1].argmax(axis=1) == y).mean()


def numpy_average(updates, weights):
    """In place, one temporary: what a careful user writes for a list of updates."""
    share = np.asarray(weights, np.float32) / np.float32(sum(weights))
    total, scaled = updates[0] * share[0], np.empty_like(updates[0])
    for update, s in zip(updates[1:], share[1:], strict=True):
        np.multiply(update, s, out=scaled)
        total += scaled
    return total


class Torch:
    """PyTorch, eager mode, one thread: nn.Sequential, SGD, cross_entropy."""

    def __init__(self, model):
        import torch

        torch.set_num_threads(1)
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # only read
        self.torch, layers = torch, []
        for n_in, n_out in pairwise(model.layer_sizes):
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*layers[:-1])
        self.linear = layers[::2]

    def load(self, params, model):
        with self.torch.no_grad():
            for module, (W, b) in zip(self.linear, model.unflatten(params), strict=True):
                module.weight.copy_(self.torch.from_numpy(W.T.copy()))
                module.bias.copy_(self.torch.from_numpy(b.copy()))

    def store(self, model):
        linear = [m for m in self.net if isinstance(m, self.torch.nn.Linear)]
        return model.flatten(
            [(m.weight.detach().numpy().T, m.bias.detach().numpy()) for m in linear]
        )

    def sgd(self, model, params, x, y, order, batch_size, lr):
        self.load(params, model)
        x, y = self.torch.from_numpy(x), self.torch.from_numpy(y)
        optimizer = self.torch.optim.SGD(self.net.parameters(), lr=float(lr))
        for visits in self.torch.from_numpy(order):
            for batch in visits.split(batch_size):
                optimizer.zero_grad()
                loss = self.torch.nn.functional.cross_entropy(self.net(x[batch]), y[batch])
                loss.backward()
                optimizer.step()
        return self.store(model)

    def accuracy(self, model, params, x, y):
        self.load(params, model)
        with self.torch.no_grad():
            best = self.net(self.torch.from_numpy(x)).argmax(dim=1)
        return float((best == self.torch.from_numpy(y)).float().mean())


def flower_average(updates, weights):
    """Flower's own server-side average of a list of updates."""
    from flwr.server.strategy.aggregate import aggregate

    return aggregate([([update], int(w)) for update, w in zip(updates, weights, strict=True)])[0]
