"""A federation small enough that a run takes milliseconds."""

import numpy as np

import fedcore as fc


def toy(n=400, n_features=12, n_classes=4, seed=0):
    """(train, test): Gaussian clusters, one a class, easy to tell apart."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 2, (n_classes, n_features))

    def draw(n):
        y = rng.integers(0, n_classes, n)
        x = centres[y] + rng.normal(0, 1, (n, n_features))
        return fc.datasets.Dataset(x.astype(np.float32), y, n_classes)

    return draw(n), draw(200)
