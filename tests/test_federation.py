"""The federation: against arithmetic by hand, repeatable, resumable, and honest when it fails."""

import _thread
import re
import signal
import threading
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import fedcore as fc
from fedcore import engine
from fedcore.federation import (
    FederationDiverged,
    LocalSGD,
    federated_rounds,
    round_seed,
    run_federation,
    sample_clients,
)
from fedcore.history import History
from fedcore.models import MLP, Softmax
from fedcore.training import epoch_orders

MODEL = MLP(64, 9, 5)
SIZES = (1, 5, 14, 30, 40)  # 90 of the 120 examples; very unequal


@pytest.fixture
def train(digits):
    return fc.datasets.Dataset(*digits, n_classes=5)


@pytest.fixture
def test(rng):
    return fc.datasets.Dataset(rng.random((60, 64), np.float32), rng.integers(0, 5, 60), 5)


@pytest.fixture
def parts(train):
    return fc.partition.by_sizes(train.y, SIZES, seed=2)


@pytest.fixture
def run(train, parts, test):
    """Run a small federation; keyword arguments replace the usual ones."""
    usual = {"n_rounds": 4, "fraction": 0.6, "local": LocalSGD(2, 7, 0.05), "seed": 3}
    things = {"model": MODEL, "train": train, "parts": parts, "test": test}
    return lambda **given: run_federation(**(things | usual | given))


class NaiveMean:
    """The mistake that lesson 2 shows: every client counts the same."""

    def init(self, params):
        return None

    def aggregate(self, state, params, updates, weights):
        return updates.mean(axis=0), state


class Momentum:
    """A strategy with a state: FedAvg's step plus half of the step before."""

    def init(self, params):
        return (np.zeros_like(params), np.zeros(1, np.int64))

    def aggregate(self, state, params, updates, weights):
        velocity = 0.5 * state[0] + fc.weighted_average(updates, weights) - params
        return params + velocity, (velocity, state[1] + 1)


def by_hand(model, train, parts, local, seed, n_rounds, fraction):
    """Algorithm 1 in NumPy and float64, with none of our kernels: parameters after each round."""
    params = model.init(seed).astype(np.float64)
    for t in range(1, n_rounds + 1):
        clients = sample_clients(len(parts), fraction, seed, t)
        total, n = np.zeros_like(params), 0
        for k in clients:
            x, y = train.x[parts[k]].astype(np.float64), train.y[parts[k]]
            w = params.copy()
            for order in epoch_orders(len(y), local.epochs, round_seed(seed, t), int(k)):
                for start in range(0, len(y), local.batch_size):
                    batch = order[start : start + local.batch_size]
                    w -= local.lr * model.gradient(w, x[batch], y[batch])
            total += len(y) * w
            n += len(y)
        params = total / n
        yield params


def test_one_round_on_paper():
    """Three clients with 1, 2 and 3 examples, softmax at zero, full batches.

    There p = 1/2 everywhere, so the gradient with respect to W[f, c] is the mean over the examples
    of (1/2 - [y = c]) x[f]. Sums of (y = 0: -1/2, y = 1: +1/2) * (1, x0, x1) for class 0:
    client 0: x = (2, 0), y = 0.                                 mean: b -1/2, W -1, 0
    client 1: x = (0, 4), y = 1; x = (2, 2), y = 1.              mean: b 1/2, W 1/2, 3/2
    client 2: x = (6, 0), y = 0; (0, 6), y = 1; (0, 0), y = 0.   mean: b -1/6, W -1, 1
    Weights 1/6, 2/6, 3/6: b -1/12 + 1/6 - 1/12 = 0; W -1/6 + 1/6 - 1/2 = -1/2; 0 + 1/2 + 1/2 = 1.
    With lr = 1/2 the new parameters are W[:, 0] = (1/4, -1/2), b[0] = 0; class 1 the opposite.
    """
    x = np.array([[2, 0], [0, 4], [2, 2], [6, 0], [0, 6], [0, 0]], np.float32)
    data = fc.datasets.Dataset(x, np.array([0, 1, 1, 0, 1, 0]), 2)
    parts = [np.array([0]), np.array([1, 2]), np.array([3, 4, 5])]
    history = run_federation(
        Softmax(2, 2), data, parts, data, n_rounds=1, fraction=1, local=LocalSGD(1, None, 0.5)
    )
    expected = [0.25, -0.25, -0.5, 0.5, 0, 0]
    np.testing.assert_allclose(history.params, expected, atol=1e-6)
    (record,) = history.rounds
    assert record.round == 1
    assert record.clients == (0, 1, 2)
    assert record.n_examples == (1, 2, 3)
    assert record.weights == (1 / 6, 2 / 6, 3 / 6)
    assert (record.bytes_down, record.bytes_up) == (3 * 6 * 4, 3 * 6 * 4)
    # client 0 moved by lr * (1/2, 1, 0) for class 0 and the opposite for class 1, and so on
    norms = [np.sqrt(2) * 0.5 * np.sqrt(b * b + u * u + v * v)
             for b, u, v in ((1 / 2, 1, 0), (1 / 2, 1 / 2, 3 / 2), (1 / 6, 1, 1))]  # fmt: skip
    np.testing.assert_allclose(record.update_norms, norms, rtol=1e-6)
    # z = x @ W: class 0 minus class 1 is x0 / 2 - x1; a tie (0) goes to class 0
    margins = np.array([1, -4, -1, 3, -6, 0])
    signs = np.array([1, -1, -1, 1, -1, 1])
    assert record.accuracy == 1
    np.testing.assert_allclose(record.loss, np.log1p(np.exp(-signs * margins)).mean(), rtol=1e-6)
    assert history.initial_loss == pytest.approx(np.log(2))
    assert history.initial_accuracy == 0.5


@pytest.mark.parametrize("model", [Softmax(64, 5), MODEL])
@pytest.mark.parametrize("fraction", [0.6, 1.0])
def test_rounds_equal_algorithm_1(model, fraction, run, train, parts, test):
    local = LocalSGD(epochs=2, batch_size=7, lr=0.05)
    seen = []
    history = run(model=model, fraction=fraction, on_round=seen.append)
    expected = list(by_hand(model, train, parts, local, 3, 4, fraction))
    np.testing.assert_allclose(history.params, expected[-1], atol=2e-6)
    unweighted = run(model=model, fraction=fraction, strategy=NaiveMean())
    assert abs(unweighted.params - expected[-1]).max() > 1e-3  # so that weights can't be forgotten
    for record, params in zip(seen, expected, strict=True):
        loss, accuracy = model.evaluate(params, test.x, test.y)
        assert record.loss == pytest.approx(loss, abs=1e-5)
        assert record.accuracy == pytest.approx(accuracy, abs=1 / 60)
        assert record.n_examples == tuple(SIZES[k] for k in record.clients)
        assert len(record.clients) == 5 * fraction
        assert record.bytes_down == record.bytes_up == 5 * fraction * 4 * model.n_params
        assert record.weights == pytest.approx(np.divide(record.n_examples, sum(record.n_examples)))


def test_federation_of_one_client_is_local_training(run, train):
    parts = [np.arange(120)]
    history = run(parts=parts, n_rounds=2, fraction=0.1)
    params = MODEL.init(3)
    for t in (1, 2):
        params = fc.local_sgd(
            MODEL, params, train.x, train.y, epochs=2, batch_size=7, lr=0.05, seed=round_seed(3, t)
        )
    np.testing.assert_array_equal(history.params, params)
    assert history.participation() == {0: 2}


def test_the_seed_alone_decides(run):
    first, again, other = run(), run(), run(seed=4)
    assert first.rounds == again.rounds
    np.testing.assert_array_equal(first.params, again.params)
    assert first.rounds != other.rounds
    assert [r.clients for r in first.rounds] != [r.clients for r in other.rounds]


def test_the_number_of_threads_changes_nothing(run):
    one, two, eight = (run(threads=threads, fraction=1.0) for threads in (1, 2, 8))
    assert one.rounds == two.rounds == eight.rounds
    np.testing.assert_array_equal(one.params, two.params)
    np.testing.assert_array_equal(one.params, eight.params)


def test_rounds_draw_anew(run):
    """Neither the same clients nor the same epoch orders in every round."""
    drawn = {r.clients for r in run(n_rounds=8).rounds}
    assert len(drawn) > 1
    assert len({round_seed(0, t) for t in range(1, 50)}) == 49
    assert len({round_seed(seed, t) for seed in (0, 1, 2) for t in (1, 2, 3)}) == 9


def test_sample_is_uniform_without_replacement():
    counts = np.zeros(20, int)
    for t in range(1, 2001):
        ids = sample_clients(20, 0.25, seed=7, t=t)
        assert ids.shape == (5,)
        assert (np.diff(ids) > 0).all()
        counts[ids] += 1
    assert counts.sum() == 10_000
    assert abs(counts - 500).max() < 5 * np.sqrt(500 * 0.75)  # five standard deviations


@pytest.mark.parametrize(
    ("n_clients", "fraction", "m"),
    [(100, 0.1, 10), (100, 1, 100), (100, 0.001, 1), (1, 0.5, 1), (7, 0.5, 4), (10, 0.16, 2)],
)
def test_how_many_are_asked(n_clients, fraction, m):
    assert len(sample_clients(n_clients, fraction, 0, 1)) == m


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sample_clients(0, 0.1, 0, 1), ValueError, "n_clients must be at least 1, got 0"),
        (lambda: sample_clients(9.0, 0.1, 0, 1), TypeError, "n_clients must be an integer"),
        (lambda: sample_clients(9, 0, 0, 1), ValueError, "fraction must be .* got 0"),
        (lambda: sample_clients(9, 0.1, -1, 1), ValueError, "seed must be at least 0, got -1"),
        (lambda: sample_clients(9, 0.1, 0, 0), ValueError, "t must be at least 1, got 0"),
        (lambda: round_seed(None, 1), TypeError, "seed must be an integer, got None"),
        (lambda: round_seed(0, 1.0), TypeError, "t must be an integer, got 1.0"),
    ],
)
def test_bad_draws(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_generator_gives_the_same_rounds(run, train, parts, test):
    history = run()
    rounds = federated_rounds(
        MODEL, train, parts, test, fraction=0.6, local=LocalSGD(2, 7, 0.05), seed=3
    )
    for expected in history.rounds:  # endless: we simply stop asking
        record, params = next(rounds)
        assert record == expected
    np.testing.assert_array_equal(params, history.params)
    with pytest.raises(ValueError, match="read-only"):
        params[0] = 1
    rounds.close()


@pytest.mark.parametrize("strategy", [fc.strategies.FedAvg(), Momentum()])
def test_generator_counts_and_continues(run, train, parts, test, strategy):
    beginning = run(n_rounds=2, strategy=strategy)
    more = federated_rounds(
        MODEL,
        train,
        parts,
        test,
        n_rounds=2,
        fraction=0.6,
        local=LocalSGD(2, 7, 0.05),
        strategy=strategy,
        seed=3,
        resume=beginning,
    )
    assert [record for record, _ in more] == run(strategy=strategy).rounds[2:]


def test_generator_checks_before_the_first_round_is_asked_for(train, parts, test):
    with pytest.raises(ValueError, match="fraction"):
        federated_rounds(MODEL, train, parts, test, fraction=2)
    with pytest.raises(ValueError, match="n_rounds must be at least 1, got 0"):
        federated_rounds(MODEL, train, parts, test, n_rounds=0)


def test_on_round_and_own_parameters(run, rng):
    params = rng.normal(0, 0.1, MODEL.n_params)
    seen = []
    history = run(params=params, on_round=seen.append)
    assert seen == history.rounds
    assert [r.round for r in seen] == [1, 2, 3, 4]
    assert history.rounds != run().rounds
    assert history.params.dtype == np.float32

    def fail(record):
        raise LookupError(record.round)

    with pytest.raises(LookupError, match="1"):
        run(on_round=fail)


@pytest.mark.parametrize("strategy", [fc.strategies.FedAvg(), NaiveMean(), Momentum()])
def test_resumed_equals_uninterrupted(run, strategy, tmp_path):
    whole = run(n_rounds=6, strategy=strategy)
    first = run(n_rounds=2, strategy=strategy)
    saved = History.load(first.save(tmp_path / "first.npz"))
    for beginning in (first, saved):
        resumed = run(n_rounds=4, strategy=strategy, resume=beginning)
        assert resumed.rounds == whole.rounds
        np.testing.assert_array_equal(resumed.params, whole.params)
        assert resumed.initial_loss == whole.initial_loss
    assert len(first.rounds) == 2  # the old History is left alone


def test_resume_may_change_the_rate(run):
    slower, same = (
        run(resume=run(n_rounds=2), n_rounds=1, local=LocalSGD(2, 7, lr)).rounds[2]
        for lr in (0.005, 0.05)
    )
    assert slower.clients == same.clients
    assert max(slower.update_norms) < 0.2 * max(same.update_norms)


@pytest.fixture
def interruptible():
    """Ctrl-C interrupts, also where the tests run in the background of a shell that ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("interruptible")
def test_stop_button_during_training_keeps_the_rounds(mnist, threads):
    """A real interrupt, while clients train: what is done stays, and the rest can be resumed."""
    train, test = mnist
    parts = fc.partition.iid(train.y, 100)
    arguments = {"local": LocalSGD(epochs=5), "threads": threads, "progress": False}
    few = test.take(slice(200))

    def stop_soon(record):
        if record.round == 2:
            threading.Timer(0.02, _thread.interrupt_main).start()

    history = run_federation(
        Softmax(784, 10), train, parts, few, n_rounds=500, on_round=stop_soon, **arguments
    )
    assert history.interrupted
    assert 2 <= len(history) < 500
    assert "interrupted" in repr(history)
    n = len(history)
    resumed = run_federation(
        Softmax(784, 10), train, parts, few, n_rounds=1, resume=history, **arguments
    )
    whole = run_federation(Softmax(784, 10), train, parts, few, n_rounds=n + 1, **arguments)
    assert not resumed.interrupted
    assert resumed.rounds == whole.rounds
    np.testing.assert_array_equal(resumed.params, whole.params)


@pytest.mark.parametrize("where", ["local_sgd_many", "sample_clients", "update_norms"])
def test_interrupt_anywhere_in_a_round(run, monkeypatch, where):
    real, calls = getattr(engine, where), []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(engine, where, interrupted)
    history = run()
    monkeypatch.undo()
    assert history.interrupted
    assert len(history) == 2
    np.testing.assert_array_equal(history.params, run(n_rounds=2).params)


def test_interrupt_in_on_round_keeps_that_round(run):
    def stop(record):
        if record.round == 3:
            raise KeyboardInterrupt

    history = run(on_round=stop)
    assert history.interrupted
    assert [r.round for r in history.rounds] == [1, 2, 3]
    np.testing.assert_array_equal(history.params, run(n_rounds=3).params)


def test_divergence_keeps_the_history(run):
    good = run(n_rounds=2)
    with pytest.raises(FederationDiverged) as caught:
        run(resume=good, local=LocalSGD(2, 7, 1e15))
    error = caught.value
    assert (error.round, error.lr) == (3, 1e15)
    assert error.client in sample_clients(5, 0.6, 3, 3)
    assert error.epoch in (1, 2)
    assert error.history.rounds == good.rounds
    np.testing.assert_array_equal(error.history.params, good.params)
    message = str(error)
    for part in (f"round 3: .*client {error.client}", "lr=1e[+]15", "try a smaller", "`history`"):
        assert re.search(part, message), message
    assert isinstance(error, fc.DivergedError)
    assert isinstance(error, ArithmeticError)
    resumed = run(resume=error.history, n_rounds=2)
    assert resumed.rounds == run().rounds


def test_divergence_in_the_first_round_has_an_empty_history(run):
    with pytest.raises(FederationDiverged) as caught:
        run(local=LocalSGD(2, 7, 1e15))
    assert len(caught.value.history) == 0
    assert caught.value.history.initial_loss > 0


class Exploding:
    """Returns what it likes: for tests of what the federation does with that."""

    def __init__(self, make):
        self.make = make

    def init(self, params):
        return ()

    def aggregate(self, state, params, updates, weights):
        return self.make(params, updates), state


def test_strategy_that_explodes_is_named(run):
    sums = Exploding(lambda params, updates: updates.sum(axis=0) * np.float32(1e14))
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(FederationDiverged) as caught:
        run(strategy=sums, n_rounds=50, local=LocalSGD(1, None, 1e-6))
    assert caught.value.history is not None
    nan = Exploding(lambda params, updates: np.full_like(params, np.nan))
    with pytest.raises(
        FederationDiverged, match="strategy's new parameters are not finite"
    ) as caught:
        run(strategy=nan)
    assert caught.value.client is None
    huge = Exploding(lambda params, updates: np.full_like(params, 1e38))
    with pytest.raises(FederationDiverged, match="round 1: the test loss is nan"):
        run(strategy=huge)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p, u: p.tolist(), TypeError, "new parameters must be a NumPy array"),
        (lambda p, u: p.astype(int), TypeError, "new parameters must have dtype"),
        (lambda p, u: u, ValueError, "new parameters must have 1 dimension"),
        (lambda p, u: p[:-1], ValueError, "must be 635 numbers, got 634"),
    ],
)
def test_strategy_that_returns_rubbish(run, make, error, message):
    with pytest.raises(error, match=message):
        run(strategy=Exploding(make))


def test_strategy_in_float64_is_rounded(run):
    history = run(strategy=Exploding(lambda p, u: u.astype(np.float64).mean(axis=0)))
    assert history.params.dtype == np.float32


def test_data_changed_behind_our_back_is_blamed(run, rng):
    x = rng.random((60, 64), np.float32)
    test = fc.datasets.Dataset(x, rng.integers(0, 5, 60), 5)
    x[3, 3] = np.nan
    with pytest.raises(ValueError, match=r"test.x must be finite, got nan at index \(3, 3\)"):
        run(test=test)


def test_bar_only_for_long_runs(run, monkeypatch, capsys):
    run()
    assert capsys.readouterr() == ("", "")
    run(progress=True)
    assert "4/4" in capsys.readouterr().err
    monkeypatch.setattr("fedcore._progress.BAR_AFTER", 0.0)
    run()
    assert "4/4" in capsys.readouterr().err
    run(progress=False)
    assert capsys.readouterr() == ("", "")


def test_local_sgd_settings():
    assert LocalSGD() == LocalSGD(epochs=1, batch_size=10, lr=0.1)
    with pytest.raises(FrozenInstanceError):
        LocalSGD().lr = 1


BAD = {
    "model": [(None, TypeError, "model must be a Softmax or an MLP, got None")],
    "train": [
        (None, TypeError, "train must be a Dataset, got None"),
        (np.ones((2, 2)), TypeError, r"train must be a Dataset, got array of shape \(2, 2\)"),
        (
            fc.datasets.Dataset(np.ones((120, 3)), np.arange(120) % 5, 5),
            ValueError,
            "train must have 64 features",
        ),
        (
            fc.datasets.Dataset(np.ones((120, 64)), np.arange(120) % 6, 6),
            ValueError,
            "train must have at most 5 classes",
        ),
    ],
    "test": [
        (42, TypeError, "test must be a Dataset, got 42"),
        (
            fc.datasets.Dataset(np.ones((9, 65)), np.arange(9) % 5, 5),
            ValueError,
            "test must have 64 features",
        ),
    ],
    "parts": [
        ([], ValueError, "parts must hold at least one client"),
        ([[0, 1], [1, 2]], ValueError, "parts must be disjoint"),
        ([[0], []], ValueError, r"parts\[1\] must hold at least one example"),
        ([[0], [120]], ValueError, r"parts\[1\] must hold indices from 0 to 119, got 120"),
        (None, TypeError, "parts must be a list of index arrays"),
        ([[k] for k in range(121)], ValueError, r"parts\[120\] must hold indices"),
    ],
    "n_rounds": [
        (0, ValueError, "n_rounds must be at least 1, got 0"),
        (-3, ValueError, "n_rounds must be at least 1, got -3"),
        (2.0, TypeError, "n_rounds must be an integer, got 2.0"),
        (None, TypeError, "n_rounds must be an integer, got None"),
    ],
    "fraction": [
        (0, ValueError, r"fraction must be a finite number in \(0, 1\], got 0"),
        (1.5, ValueError, r"fraction must be a finite number in \(0, 1\], got 1.5"),
        (float("nan"), ValueError, "fraction must be a finite number .* got nan"),
        ("0.1", TypeError, "fraction must be a number, got '0.1'"),
    ],
    "local": [(0.1, TypeError, "local must be a LocalSGD, got 0.1")],
    "strategy": [
        (None, TypeError, "strategy must be an object with init and aggregate, got None"),
        (fc.strategies.FedAvg, TypeError, "strategy must be an object with init and aggregate"),
    ],
    "seed": [
        (-1, ValueError, "seed must be at least 0, got -1"),
        (None, TypeError, "seed must be an integer, got None"),
        (0.5, TypeError, "seed must be an integer, got 0.5"),
    ],
    "threads": [
        (0, ValueError, "threads must be at least 1, got 0"),
        (1.5, TypeError, "threads must be an integer, got 1.5"),
    ],
    "on_round": [(3, TypeError, "on_round must be a function of a RoundRecord, got 3")],
    "params": [
        (np.zeros(3, np.float32), ValueError, "params must hold 635 numbers"),
        ([0.0] * 635, TypeError, "params must be a NumPy array"),
        (np.zeros(635, int), TypeError, "params must have dtype"),
        (np.full(635, np.inf), ValueError, "params must be finite, got inf"),
    ],
    "resume": [("x.npz", TypeError, "resume must be a History, got 'x.npz'")],
    "progress": [(1, TypeError, "progress must be True, False or None, got 1")],
}


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [(name, *case) for name, cases in BAD.items() for case in cases],
)
def test_bad_argument_is_named_before_anything_runs(run, monkeypatch, name, value, error, message):
    monkeypatch.setattr(engine, "local_sgd_many", None)
    with pytest.raises(error, match=message):
        run(**{name: value})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"epochs": 1.0}, TypeError, "epochs must be an integer, got 1.0"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": "10"}, TypeError, "batch_size must be an integer, got '10'"),
        ({"lr": 0}, ValueError, r"lr must be a finite number in \(0, .*got 0"),
        ({"lr": -0.1}, ValueError, "lr must be .*got -0.1"),
        ({"lr": float("inf")}, ValueError, "lr must be .*got inf"),
        ({"lr": None}, TypeError, "lr must be a number, got None"),
    ],
)
def test_bad_local_settings(arguments, error, message):
    with pytest.raises(error, match=message):
        LocalSGD(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": 4}, "resume must have the same seed as this run, 4, got 3"),
        ({"model": MLP(64, 8, 5)}, r"same layer_sizes as this run, \(64, 8, 5\), got \(64, 9, 5\)"),
        ({"parts": [[0], [1]]}, "same n_clients as this run, 2, got 5"),
        ({"params": MODEL.init()}, "params must be left out when resume is given"),
    ],
)
def test_resume_of_something_else(run, arguments, message):
    history = run(n_rounds=1)
    with pytest.raises(ValueError, match=message):
        run(resume=history, **arguments)
