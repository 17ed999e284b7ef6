"""Thousands of bad argument combinations: only the documented exceptions, never anything else.

Each example takes a valid call and replaces one to three of its arguments with something from a
box of nasty values. A call may succeed (some replacements are valid), or raise what the docstring
says. A crash, another exception, or a trained or averaged model with NaN in it is a failure.
"""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fedcore as fc

N, FEATURES, CLASSES = 12, 5, 3
MODEL = fc.models.MLP(FEATURES, 4, CLASSES)
RNG = np.random.default_rng(0)
X = RNG.random((N, FEATURES), dtype=np.float32)
Y = RNG.integers(0, CLASSES, N)
PARTS = [np.arange(0, 5), np.arange(5, 12)]
DATA = fc.datasets.Dataset(X, Y, CLASSES)
UPDATES = RNG.random((3, 7), dtype=np.float32)
POISON = np.full_like(X, np.nan)
FROZEN = np.zeros(7, np.float32)
FROZEN.flags.writeable = False

SCALARS = [None, True, -1, 0, 1, 2, 10**6, 2**63, -(2**63), 0.5, -0.0, 1e-300, 1e39, 1e308]
SCALARS += [float("nan"), float("inf"), -float("inf"), 1j, "", "10", b"x", np.float32(0.1)]
SCALARS += [np.int8(3), np.bool_(True), np.array(3), np.array(0.1), object(), [], {}, (), [1], {1}]
ARRAYS = [
    X, X.astype(np.float64), X[::-1], X[:, ::2], X.T, X[:0], X[:, :0], X[0], X[np.newaxis], POISON,
    X * np.float32(1e38), X.astype(np.float16), X.astype(int), X.astype(complex), X.astype(object),
    X.astype(">f4"), X.astype(str), Y, Y.astype(np.int8), Y.astype(float), Y + 100, -Y, Y[:0],
    Y.astype(np.uint64), PARTS, PARTS[::-1], [PARTS[0], PARTS[0]], [PARTS[0], np.arange(0)],
    [[0, 1], [2]], [[0, 1], "ab"], [np.array([-1])], [np.array([N])], [np.array([2**40])],
    [np.array([[0]])], UPDATES, list(UPDATES), [UPDATES[0], UPDATES[1][:-1]], UPDATES[:, ::-1],
    [*UPDATES, POISON[0]], np.zeros(7, np.float32), np.zeros(7), FROZEN, [1, 2, 3], [0, 0, 0],
    [1, -1, 1], [1, np.nan, 1], [1e308] * 3, [5e-324] * 3, np.ones(3), np.ones((3, 1)),
    MODEL.init(), MODEL.init() * np.float32(np.nan), MODEL.init()[:-1], MODEL.init().astype(float),
    DATA, MODEL, fc.models.Softmax(FEATURES, 2), fc.models.MLP, fc.LocalSGD(), fc.strategies.FedAvg,
    fc.strategies.FedAvg(), np.empty((2, MODEL.n_params), np.float32), np.ma.masked_array(X),
    np.lib.stride_tricks.as_strided(X[:1], (N, FEATURES), (0, 4)),
]  # fmt: skip
NASTY = SCALARS + ARRAYS


def dataset(x, y, n_classes):
    return fc.datasets.Dataset(x, y, n_classes)


CALLS = {
    "Dataset": (dataset, {"x": X, "y": Y, "n_classes": CLASSES}),
    "MLP": (fc.models.MLP, {0: FEATURES, 1: 4, 2: CLASSES}),
    "Softmax": (fc.models.Softmax, {"n_features": FEATURES, "n_classes": CLASSES}),
    "init": (MODEL.init, {"seed": 0}),
    "unflatten": (MODEL.unflatten, {"params": MODEL.init()}),
    "flatten": (MODEL.flatten, {"layers": MODEL.unflatten(MODEL.init())}),
    "predict_proba": (MODEL.predict_proba, {"params": MODEL.init(), "x": X}),
    "evaluate": (MODEL.evaluate, {"params": MODEL.init(), "x": X, "y": Y}),
    "gradient": (MODEL.gradient, {"params": MODEL.init(), "x": X, "y": Y}),
    "local_sgd": (
        fc.local_sgd,
        {"model": MODEL, "params": MODEL.init(), "x": X, "y": Y, "epochs": 2, "batch_size": 3}
        | {"lr": 0.1, "seed": 0, "client": 0, "prox_mu": 0.0, "correction": None},
    ),
    "local_sgd_many": (
        fc.local_sgd_many,
        {"model": MODEL, "params": MODEL.init(), "x": X, "y": Y, "parts": PARTS, "epochs": 1}
        | {"batch_size": 3, "lr": 0.1, "seed": 0, "clients": [4, 5], "threads": 1, "out": None}
        | {"prox_mu": 0.1, "correction": np.zeros((2, MODEL.n_params), np.float32)},
    ),
    "clipped_gradient_sum": (
        fc.clipped_gradient_sum,
        {"model": MODEL, "params": MODEL.init(), "x": X, "y": Y, "rows": PARTS[1]}
        | {"clip_norm": 1.0},
    ),
    "weighted_average": (
        fc.weighted_average,
        {"updates": UPDATES, "weights": [1, 2, 3], "out": None},
    ),
    "RunningAverage": (fc.RunningAverage, {"n_params": 7}),
    "iid": (fc.partition.iid, {"y": Y, "n_clients": 2, "seed": 0}),
    "shards": (
        fc.partition.shards,
        {"y": Y, "n_clients": 2, "shards_per_client": 2, "seed": 0},
    ),
    "by_sizes": (fc.partition.by_sizes, {"y": Y, "sizes": [3, 4], "seed": 0}),
    "check": (fc.partition.check, {"parts": PARTS, "n_examples": N}),
    "LocalSGD": (fc.LocalSGD, {"epochs": 1, "batch_size": 3, "lr": 0.1}),
    "run_federation": (
        fc.run_federation,
        {"model": MODEL, "train": DATA, "parts": PARTS, "test": DATA, "n_rounds": 1}
        | {"fraction": 1.0, "local": fc.LocalSGD(1, 3, 0.1), "strategy": fc.strategies.FedAvg()}
        | {"seed": 0, "threads": 1, "on_round": None, "params": None, "resume": None}
        | {"progress": False},
    ),
}
# The others are plain arithmetic: NaN in, NaN out.
MUST_BE_FINITE = {"clipped_gradient_sum", "local_sgd", "local_sgd_many", "weighted_average"}
TOO_BIG = {"epochs", "n_clients", "n_rounds", "n_params", "threads", "n_features", "n_examples"}


def is_too_big(name, value):
    """A valid request for years of work or all of the memory is not what this test is after."""
    counts = TOO_BIG | {0, 1, 2, "n_classes", "shards_per_client"}
    return name in counts and not isinstance(value, bool) and np.isscalar(value) and (
        isinstance(value, int | np.integer) and value > 1000
    )  # fmt: skip


def all_finite(result):
    if isinstance(result, np.ndarray) and result.dtype.kind == "f":
        return np.isfinite(result).all()
    if isinstance(result, list | tuple):
        return all(all_finite(item) for item in result)
    return True


def call(function, arguments):
    positional = [arguments[key] for key in sorted(k for k in arguments if isinstance(k, int))]
    named = {key: value for key, value in arguments.items() if isinstance(key, str)}
    return function(*positional, **named)


@pytest.mark.parametrize("name", CALLS)
def test_the_unchanged_call_works(name):
    call(*CALLS[name])


@pytest.mark.parametrize("name", CALLS)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_only_documented_exceptions(name, data):
    function, good = CALLS[name]
    arguments = dict(good)
    changed = data.draw(st.lists(st.sampled_from(list(good)), min_size=1, max_size=3, unique=True))
    for key in changed:
        value = NASTY[data.draw(st.integers(0, len(NASTY) - 1))]
        if not is_too_big(key, value):
            arguments[key] = value
    if isinstance(arguments.get("out"), np.ndarray):
        arguments["out"] = arguments["out"].copy()  # or a call that succeeds would change the box
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = call(function, arguments)
        except (ValueError, TypeError, fc.DivergedError) as error:
            assert str(error).strip()  # noqa: PT017 - the message is what a learner reads
            return
    if name in MUST_BE_FINITE:
        assert all_finite(result)
