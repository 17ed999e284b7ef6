"""Data that many tests share. Small and made here, except MNIST, which is loaded once."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import fedcore as fc

# No test, and no notebook or kernel that a test starts, may touch the learner's own record.
_RECORDS = tempfile.TemporaryDirectory(prefix="fedcore-test-")
os.environ["FEDCORE_PROGRESS"] = os.path.join(_RECORDS.name, "progress.sqlite3")

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = ["in_parallel"]

# For builds that are 20 times slower: HYPOTHESIS_PROFILE=few.
settings.register_profile("usual", deadline=None)
settings.register_profile("few", deadline=None, max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))


@pytest.fixture(scope="session")
def mnist():
    """(train, test), as the lessons load it."""
    return fc.datasets.load_mnist()


@pytest.fixture
def digits(rng):
    """A small problem like MNIST: 120 sparse examples in [0, 1], 64 features, 5 classes."""
    x = rng.random((120, 64), dtype=np.float32)
    x[rng.random(x.shape) < 0.7] = 0
    y = rng.integers(0, 5, 120)
    return x, y


@pytest.fixture
def rng():
    return np.random.default_rng(20261124)
