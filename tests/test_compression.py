"""Compression: right on average where it says so, and not a byte more or less than it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedcore as fc
from fedcore.compression import Compressed, Quantize, Sign, TopK, pack, unpack
from fedcore.events import disagreements

ALL = [Quantize(b, c) for b in (1, 2, 4, 8) for c in (None, 7)] + [Sign(), Sign(7)]
ALL += [TopK(0.01), TopK(0.3), TopK(1.0)]


def vector(n=100, seed=0):
    return np.random.default_rng(seed).normal(0, 1, n).astype(np.float32)


def sent(compressor, x, seed=0):
    message = compressor.encode(x, np.random.default_rng(seed))
    return compressor.decode(message, len(x))


# --------------------------------------------------------------------------------- bytes


@given(st.integers(1, 13), st.integers(1, 40), st.integers(0, 10))
def test_packing_is_a_row_of_binary_digits(bits, n, seed):
    codes = np.random.default_rng(seed).integers(0, 2**bits, n).astype(np.uint32)
    data = pack(codes, bits)
    digits = "".join(f"{code:0{bits}b}" for code in codes)
    assert data == int(digits.ljust(8 * len(data), "0"), 2).to_bytes(len(data), "big")
    assert len(data) == -(-n * bits // 8)
    assert unpack(data, bits, n).tolist() == codes.tolist()


@pytest.mark.parametrize("n", [1, 2, 7, 8, 100, 1025])
@pytest.mark.parametrize("compressor", ALL, ids=repr)
def test_messages_are_as_long_as_they_say(compressor, n):
    message = compressor.encode(vector(n), np.random.default_rng(0))
    assert len(message) == compressor.nbytes(n)
    assert compressor.decode(message, n).shape == (n,)
    assert compressor.decode(message, n).dtype == np.float32


@pytest.mark.parametrize(
    ("compressor", "expected"),
    [
        (Quantize(8), 8 + 7850),
        (Quantize(4), 8 + 3925),
        (Quantize(2), 8 + 1963),
        (Quantize(1), 8 + 982),
        (Quantize(1, 100), 79 * 8 + 982),
        (Sign(), 4 + 982),
        (TopK(0.01), 78 * 4 + 127),  # 78 * 13 bits = 126.75 bytes
    ],
    ids=repr,
)
def test_bytes_of_the_softmax_model_by_hand(compressor, expected):
    assert compressor.nbytes(7850) == expected


# ------------------------------------------------------------------------------- quantisation


@pytest.mark.parametrize("chunk", [None, 7])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_quantisation_is_right_on_average_and_never_a_step_off(bits, chunk):
    x, draws = vector(40), 4000
    compressor, rng = Quantize(bits, chunk), np.random.default_rng(1)
    got = np.array([compressor.decode(compressor.encode(x, rng), 40) for _ in range(draws)])
    parts = [x] if chunk is None else np.split(x, range(chunk, 40, chunk))
    step = np.concatenate([np.full(len(p), np.ptp(p) / (2**bits - 1)) for p in parts])
    assert (np.abs(got - x) <= step * (1 + 1e-5)).all()
    assert (np.abs(got.mean(axis=0) - x) <= 5 * step / 2 / np.sqrt(draws) + 1e-6).all()
    assert (got.var(axis=0) <= step**2 / 4 * 1.01 + 1e-12).all()


def test_quantised_values_are_the_levels_between_smallest_and_largest():
    x = vector(5000)
    levels = np.unique(sent(Quantize(2), x))
    np.testing.assert_allclose(levels, np.linspace(x.min(), x.max(), 4), rtol=1e-6)
    assert set(sent(Quantize(1), x)) <= {x.min(), np.float32(x.min() + np.ptp(x))}


def test_equal_numbers_survive_quantisation_exactly():
    for value in (0.0, -3.25, 1e-30):
        x = np.full(20, value, dtype=np.float32)
        np.testing.assert_array_equal(sent(Quantize(1), x), x)
        np.testing.assert_array_equal(sent(Quantize(4, 7), x), x)


def test_each_chunk_has_its_own_range():
    x = np.concatenate([vector(50), 1000 * vector(50)]).astype(np.float32)
    error = np.abs(sent(Quantize(8, 50), x) - x)
    assert error[:50].max() < 0.03 < error[50:].max()
    assert np.abs(sent(Quantize(8), x) - x)[:50].max() > 1


# ------------------------------------------------------------------------------ sign and top-k


def test_sign_keeps_signs_and_the_mean_size():
    x = vector(30)
    np.testing.assert_allclose(
        sent(Sign(), x), np.where(x >= 0, 1, -1) * np.abs(x).mean(), rtol=1e-6
    )
    chunked = sent(Sign(7), x)
    for start in range(0, 30, 7):
        part = slice(start, start + 7)
        np.testing.assert_allclose(np.abs(chunked[part]), np.abs(x[part]).mean(), rtol=1e-6)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 1.0])
def test_top_k_keeps_the_largest_exactly(share):
    x = vector(50)
    got, k = sent(TopK(share), x), round(share * 50)
    keep = sorted(range(50), key=lambda i: -abs(x[i]))[:k]
    expected = [x[i] if i in keep else 0 for i in range(50)]
    np.testing.assert_array_equal(got, np.array(expected, dtype=np.float32))


def test_top_k_sends_at_least_one_number_and_the_first_of_equals():
    x = np.array([1, -1, 1], dtype=np.float32)
    assert sent(TopK(0.01), x).tolist() == [1, 0, 0]


@pytest.mark.parametrize("compressor", [Sign(), Sign(7), TopK(0.02)], ids=repr)
def test_what_error_feedback_needs_holds_for_sign_and_top_k_and_not_for_one_bit(compressor):
    """The message takes away more than it adds; a bit drawn by lot does not."""
    x = vector(1000)
    assert np.linalg.norm(x - sent(compressor, x)) < np.linalg.norm(x)
    assert np.linalg.norm(x - sent(Quantize(1), x)) > np.linalg.norm(x)


# --------------------------------------------------------------------------------- federation


@pytest.fixture(scope="module")
def problem():
    train, test = fc.datasets.load_mnist()
    small = fc.partition.by_sizes(train.y, [60] * 10, seed=0)
    return fc.models.Softmax(784, 10), train, small, test


def run(problem, strategy, n_rounds=3, **more):
    local = fc.LocalSGD(epochs=1, batch_size=10, lr=0.05)
    settings = {"n_rounds": n_rounds, "fraction": 0.4, "local": local, "progress": False} | more
    return fc.run_federation(*problem, strategy=strategy, **settings)


def test_a_federation_counts_the_bytes_of_the_messages(problem):
    history = run(problem, Compressed(Quantize(4)))
    assert history.bytes_up.tolist() == [4 * (8 + 3925)] * 3
    assert history.bytes_down.tolist() == [4 * 31400] * 3


def test_on_a_fleet_only_the_way_up_gets_shorter(problem):
    fleet = fc.devices.Fleet.simple(np.ones(10))
    plan = fc.RoundPlan(target=4, require=(), min_battery=0)
    both = (fc.strategies.FedAvg(), Compressed(Quantize(4)))
    plain, short = (run(problem, strategy, fleet=fleet, plan=plan) for strategy in both)
    for record in (*plain.rounds, *short.rounds):
        assert disagreements(record) == []
    assert short.rounds[0].bytes_down == plain.rounds[0].bytes_down
    assert short.rounds[0].bytes_up < plain.rounds[0].bytes_up / 7
    assert short.rounds[0].sim_seconds < plain.rounds[0].sim_seconds


def test_without_loss_it_is_the_plain_federation(problem):
    """Top-k with everything sent: only the rounding of w + (w_k - w) is left."""
    plain, same = run(problem, fc.strategies.FedAvg()), run(problem, Compressed(TopK(1.0)))
    assert np.abs(plain.params - same.params).max() < 1e-6
    assert np.abs(plain.params - run(problem, Compressed(TopK(0.1))).params).max() > 1e-3


def test_the_server_only_gets_what_the_messages_hold():
    """One client, one round: the new model differs from the old in k places."""
    params = vector(50)
    update = vector(50, seed=1)[None, :]
    strategy = Compressed(TopK(0.1))
    work = fc.strategy_api.LocalWork(np.array([2]), np.array([1]), 0.1, 5)
    new, _ = strategy.aggregate(strategy.init(params, 5), params, update, np.array([9]), work)
    assert np.count_nonzero(new != params) == 5


def test_error_feedback_loses_nothing_for_good():
    """What was decoded over the rounds, plus the memory, is what was meant, for each client."""
    n, rounds = 60, 8
    strategy = Compressed(TopK(0.05), error_feedback=True)
    params = np.zeros(n, dtype=np.float32)
    state = strategy.init(params, 3)
    meant, got = np.zeros((3, n)), np.zeros((3, n))
    for t in range(rounds):
        k = t % 2 * 2  # clients 0 and 2 in turn; 1 never
        update = vector(n, seed=t)
        work = fc.strategy_api.LocalWork(np.array([k]), np.array([1]), 0.1, 3)
        new, state = strategy.aggregate(state, params, update[None], np.array([5]), work)
        meant[k] += update
        got[k] += new
    np.testing.assert_allclose(got + state[1], meant, atol=1e-5)
    assert not state[1][1].any()
    assert np.abs(state[1][0]).max() > 0.1


def test_a_resumed_run_equals_an_uninterrupted_one(problem, tmp_path):
    for strategy in (Compressed(Quantize(1)), Compressed(TopK(0.02), error_feedback=True)):
        whole = run(problem, strategy, n_rounds=4)
        half = run(problem, strategy, n_rounds=2)
        half.save(tmp_path / "half.npz")
        resumed = run(problem, strategy, 2, resume=fc.History.load(tmp_path / "half.npz"))
        np.testing.assert_array_equal(whole.params, resumed.params)


def test_other_strategies_work_on_what_arrives(problem):
    inner = fc.strategies.FedAvgM(momentum=0.5)
    history = run(problem, Compressed(Quantize(8), strategy=inner))
    plain = run(problem, inner)
    assert abs(history.accuracy[-1] - plain.accuracy[-1]) < 0.02
    prox = Compressed(TopK(1.0), strategy=fc.strategies.FedProx(prox_mu=1.0))
    uncompressed = run(problem, fc.strategies.FedProx(prox_mu=1.0))
    assert np.abs(run(problem, prox).params - uncompressed.params).max() < 1e-6


def test_rounds_and_clients_draw_differently_and_seeds_repeat(problem):
    params, update = np.zeros(200, np.float32), vector(200)
    work = fc.strategy_api.LocalWork(np.array([0, 1]), np.array([1, 1]), 0.1, 2)
    both = np.stack([update, update])

    def step(seed, state=None):
        strategy = Compressed(Quantize(1), seed=seed)
        state = strategy.init(params, 2) if state is None else state
        return strategy.aggregate(state, params, both, np.array([1, 1]), work)

    first, state = step(0)
    assert len(np.unique(first)) == 3  # two clients, each high or low: three means
    np.testing.assert_array_equal(first, step(0)[0])
    assert (first != step(1)[0]).any()
    assert (first != step(0, state)[0]).any()


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Quantize(3), r"bits must be one of \(1, 2, 4, 8\), got 3"),
        (lambda: Quantize(True), "bits must be one of"),
        (lambda: Quantize(8, 0), "chunk must be at least 1, got 0"),
        (lambda: Sign(2.5), "chunk must be an integer"),
        (lambda: TopK(0.0), "share must be a finite number"),
        (lambda: TopK(1.5), "share must be a finite number"),
        (lambda: Compressed("zip"), "compressor must have encode, decode and nbytes, got 'zip'"),
        (lambda: Compressed(Sign(), seed=-1), "seed must be at least 0"),
        (lambda: Compressed(Sign(), fc.strategies.SCAFFOLD()), "strategy must send one vector"),
        (lambda: Compressed(Sign(), fc.privacy.DPFedAvg()), "must not keep a privacy ledger"),
        (lambda: Quantize(8).nbytes(0), "n_values must be at least 1"),
    ],
)
def test_settings_name_what_is_wrong(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("compressor", ALL, ids=repr)
def test_bad_vectors_and_messages_are_refused(compressor):
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match="delta must have dtype float32"):
        compressor.encode(np.zeros(5), rng)
    with pytest.raises(ValueError, match=r"delta must be finite, got nan at index \(1,\)"):
        compressor.encode(np.array([0, np.nan], np.float32), rng)
    with pytest.raises(ValueError, match="delta must hold at least one number"):
        compressor.encode(np.zeros(0, np.float32), rng)
    message = compressor.encode(vector(20), rng)
    with pytest.raises(ValueError, match=r"message must be \d+ bytes long"):
        compressor.decode(message + b"x", 20)
    with pytest.raises(TypeError, match="message must be bytes"):
        compressor.decode(list(message), 20)


def test_a_place_beyond_the_vector_is_refused():
    message = TopK(0.1).encode(vector(10), np.random.default_rng(0))
    with pytest.raises(ValueError, match="message must hold places below 10, got 15"):
        TopK(0.1).decode(message[:4] + b"\xf0", 10)
