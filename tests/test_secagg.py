"""Secure aggregation: the sum is exact, single vectors look like noise, nothing is let through."""

import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from conftest import ROOT
from scipy.stats import chisquare

import fedcore as fc
from fedcore import secagg
from fedcore.secagg import masks, shamir


def seeded(seed=0):
    return np.random.default_rng(seed).bytes


def ring_vectors(n, n_values, bits, seed=0):
    """Random ring elements, the largest and smallest among them."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 2**bits, size=(n, n_values), dtype=f"uint{bits}")
    rows[:, 0], rows[:, 1] = 2**bits - 1, 0
    return list(rows)


class Run:
    """A protocol under way, so that a test can interfere between the steps."""

    def __init__(self, rows, threshold=None, bits=32, seed=0):
        self.rows = rows
        self.setup = secagg.Setup(len(rows), len(rows[0]), threshold, bits, bytes(16))
        self.server = secagg.Server(self.setup)
        random = seeded(seed)
        self.clients = [secagg.Client(k, self.setup, random) for k in range(len(rows))]
        self.ids = range(len(rows))

    def advertise(self, ids=None):
        for k in self.ids if ids is None else ids:
            self.server.receive(self.clients[k].advertise())
        self.roster = self.server.roster()
        return self

    def share(self, ids=None):
        for k in self.roster if ids is None else ids:
            self.server.receive(self.clients[k].share(self.roster))
        return self

    def mask(self, ids=None):
        for k in self.ids if ids is None else ids:
            self.server.receive(self.clients[k].mask(self.rows[k], self.server.boxes_for(k)))
        return self

    def reveal(self, ids=None):
        self.request = self.server.unmasking_request()
        for k in self.server.survivors if ids is None else ids:
            self.server.receive(self.clients[k].reveal(self.request))
        return self


def masked(rows, ids=None, **settings):
    return Run(rows, **settings).advertise().share().mask(ids)


# ---------------------------------------------------------------------------------- secret sharing


def test_any_threshold_many_shares_give_the_secret():
    secret = 2**256 - 12345
    shares = shamir.split(secret, 3, [1, 2, 3, 4, 100], seeded())
    for points in combinations(shares, 3):
        assert shamir.combine(shares, shamir.coefficients_at_zero(points)) == secret
    for points in combinations(shares, 2):
        assert shamir.combine(shares, shamir.coefficients_at_zero(points)) != secret


def test_fewer_shares_fit_every_secret_equally_well():
    """Two of three shares and any secret at all: there is a third share that makes them fit."""
    shares = shamir.split(7, 3, [1, 2, 3], seeded())
    c = shamir.coefficients_at_zero([1, 2, 3])
    for secret in (0, 8, 2**500):
        rest = secret - c[1] * shares[1] - c[2] * shares[2]
        third = rest * pow(c[3], -1, shamir.PRIME) % shamir.PRIME
        assert shamir.combine({1: shares[1], 2: shares[2], 3: third}, c) == secret


def test_shares_of_a_fixed_secret_look_uniform():
    random = seeded(1)
    firsts = [shamir.split(0, 2, [1], random)[1] * 16 // shamir.PRIME for _ in range(4000)]
    assert chisquare(np.bincount(firsts, minlength=16)).pvalue > 0.001


def test_the_modulus_is_the_mersenne_prime():
    """Lucas and Lehmer's test, which is a proof."""
    s = 4
    for _ in range(521 - 2):
        s = (s * s - 2) % shamir.PRIME
    assert s == 0


def test_a_number_of_all_ones_is_drawn_again():
    draws = iter([b"\xff" * 66, (5).to_bytes(66, "big")])
    assert shamir.random_number(lambda n: next(draws)) == 5


# ------------------------------------------------------------------------------------- fixed point


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(("bound", "n"), [(1.0, 2), (0.37, 100), (600.0, 100), (1e-6, 7)])
def test_the_largest_sum_just_fits(bound, n, bits):
    fixed = secagg.FixedPoint(bound, n, bits)
    for sign in (1, -1):
        row = fixed.encode(np.array([sign * bound]))
        total = int(row[0]) if sign > 0 else int(row[0]) - 2**bits
        assert abs(n * total) < 2 ** (bits - 1)  # does not wrap ...
        assert abs(4 * n * total) >= 2 ** (bits - 1)  # ... and wastes less than two bits
        summed = fixed.decode((row * fixed.dtype.type(n)).astype(fixed.dtype))
        np.testing.assert_allclose(summed, n * sign * bound, rtol=1e-6)


def test_fixed_point_refuses_what_would_become_another_number():
    fixed = secagg.FixedPoint(1.0, 10)
    with pytest.raises(ValueError, match=r"delta must lie within the fixed-point bound of 1, got"):
        fixed.encode(np.array([0.5, -1.25]), "delta")
    with pytest.raises(ValueError, match=r"values must be finite, got nan at index \(1,\)"):
        fixed.encode(np.array([0.0, np.nan]))
    with pytest.raises(TypeError, match="one-dimensional"):
        fixed.encode(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="bound must leave room in 32 bits for the sum of 100"):
        secagg.FixedPoint(1e9, 100)
    with pytest.raises(ValueError, match="bound must leave room"):
        secagg.FixedPoint(100.0, 10, fraction_bits=30)
    with pytest.raises(ValueError, match="bound must be a finite number"):
        secagg.FixedPoint(0.0, 10)
    with pytest.raises(ValueError, match="bits must be 32 or 64, got 16"):
        secagg.FixedPoint(1.0, 10, 16)
    with pytest.raises(TypeError, match="ring must be an array of uint32"):
        fixed.decode(np.zeros(3, dtype=np.uint64))


def test_shares_of_noise_add_up_to_the_noise_asked_for():
    std, n, n_sharing = 0.5, 10, 7
    fixed = secagg.FixedPoint(1.0, n, margin=10.0)
    rng = np.random.default_rng(0)
    total = sum(fixed.noise_share(std, n_sharing, 40_000, rng) for _ in range(n_sharing))
    noise = fixed.decode(total)
    assert abs(noise.mean()) < 4 * std / 200
    np.testing.assert_allclose(noise.std(), std, rtol=4 / np.sqrt(2 * 40_000))
    single = fixed.decode(fixed.noise_share(std, n_sharing, 40_000, rng))
    np.testing.assert_allclose(single.std(), std / np.sqrt(7), rtol=4 / np.sqrt(2 * 40_000))
    with pytest.raises(ValueError, match="margin must be at least 6 standard deviations"):
        secagg.FixedPoint(1.0, n, margin=1.0).noise_share(std, n_sharing, 5, rng)


# ------------------------------------------------------------------------------------- the sum


def brute_force(rows, ids, bits):
    """Python integers, one at a time."""
    return [sum(int(rows[k][i]) for k in ids) % 2**bits for i in range(len(rows[0]))]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_sum_is_exact(n, bits):
    rows = ring_vectors(n, 7, bits)
    total = masked(rows, bits=bits).reveal().server.total()
    assert total.tolist() == brute_force(rows, range(n), bits)


def test_devices_may_die_at_every_stage():
    rows = ring_vectors(13, 5, 32)
    run = Run(rows, threshold=8)
    run.advertise([k for k in range(13) if k != 0])
    run.share([k for k in range(13) if k not in (0, 4)])
    run.mask([k for k in range(13) if k not in (0, 4, 7, 12)])
    run.reveal([k for k in range(13) if k not in (0, 4, 7, 12, 5)])
    assert run.server.dropped == (7, 12)
    alive = [1, 2, 3, 5, 6, 8, 9, 10, 11]  # 5 died last: its vector is in
    assert run.server.survivors == tuple(alive)
    assert run.server.total().tolist() == brute_force(rows, alive, 32)


def test_without_recovery_the_sum_is_garbage():
    rows = [np.full(4000, 1, dtype=np.uint32)] * 10
    run = masked(rows, ids=range(9))
    garbage = run.server.masked_sum()
    assert chisquare(np.bincount(garbage >> 28, minlength=16)).pvalue > 0.001
    assert run.reveal().server.total().tolist() == [9] * 4000


def test_masked_vectors_are_indistinguishable_from_uniform_and_plain_ones_are_not():
    rng = np.random.default_rng(0)
    fixed = secagg.FixedPoint(1.0, 5)
    rows = [fixed.encode(rng.normal(0, 0.1, 20_000).clip(-1, 1)) for _ in range(5)]
    run = masked(rows)
    for k in range(5):
        for byte in run.server._got[2][k].values.view(np.uint8).reshape(-1, 4).T:
            assert chisquare(np.bincount(byte, minlength=256)).pvalue > 1e-4
        assert chisquare(np.bincount(rows[k] >> 24, minlength=256)).pvalue < 1e-12
        hidden = run.server._got[2][k].values.astype(float)
        assert abs(np.corrcoef(fixed.decode(rows[k]), hidden)[0, 1]) < 4 / np.sqrt(20_000)


def test_the_same_vector_looks_different_to_every_run_and_client():
    rows = [np.zeros(50, dtype=np.uint32)] * 4
    seen = [
        m.values.tobytes() for s in (0, 1) for m in masked(rows, seed=s).server._got[2].values()
    ]
    assert len(set(seen)) == 8


def test_each_secret_alone_leaves_the_vector_hidden_and_both_lay_it_open():
    """Why both must never meet: what a server could do with them, done here."""
    rows = [np.full(20_000, 42, dtype=np.uint32)] * 4
    run = masked(rows)
    victim, setup = run.clients[1], run.setup
    y = run.server._got[2][1].values
    pairwise = sum(
        masks.pairwise_mask(1, victim._mask_key, v, run.roster[v].masking, setup) for v in (0, 2, 3)
    )
    own = masks.self_mask(victim._seed, setup)
    for half in (y - pairwise, y - own):
        assert chisquare(np.bincount(half >> 24, minlength=256)).pvalue > 1e-4
    assert (y - pairwise - own).tolist() == [42] * 20_000


def test_the_published_digest_does_not_give_the_self_mask():
    run = Run([np.zeros(50, dtype=np.uint32)] * 3).advertise()
    digest = run.clients[0].share(run.roster).digest
    mask = masks.self_mask(run.clients[0]._seed, run.setup)
    assert (masks.expand(digest, 50, run.setup.dtype) != mask).all()


def test_real_randomness_is_the_default():
    rows = [np.ones(5)] * 3
    first, second = (secagg.Client(0, secagg.Setup(3, 5)).advertise() for _ in range(2))
    assert first != second
    assert secagg.secure_sum(rows, bound=1.0).total.tolist() == [3.0] * 5


# ------------------------------------------------------------------------------------- too few


def test_it_aborts_below_the_threshold_at_every_stage():
    rows = ring_vectors(6, 3, 32)
    with pytest.raises(secagg.Aborted, match="after the keys: 3 of 6 clients left, the threshold"):
        Run(rows, 4).advertise(range(3))
    with pytest.raises(secagg.Aborted, match="after the shares"):
        Run(rows, 4).advertise().share(range(3)).server.boxes_for(0)
    with pytest.raises(secagg.Aborted, match="after the masked inputs"):
        Run(rows, 4).advertise().share().mask(range(3)).server.unmasking_request()
    with pytest.raises(secagg.Aborted, match="before the sum was unmasked: 3 of 6"):
        masked(rows, threshold=4).reveal(range(3)).server.total()


def test_clients_abort_by_themselves():
    run = Run(ring_vectors(6, 3, 32), 4).advertise()
    few = {k: run.roster[k] for k in (0, 1, 2)}
    with pytest.raises(secagg.Aborted, match="before sharing: 3 of 6"):
        run.clients[0].share(few)
    run.share()
    boxes = run.server.boxes_for(0)
    with pytest.raises(secagg.Aborted, match="before masking: 3 of 6"):
        run.clients[0].mask(run.rows[0], {v: boxes[v] for v in (1, 2)})
    run.mask()
    request = secagg.UnmaskingRequest(frozenset({0, 1, 2}), frozenset({3, 4, 5}))
    with pytest.raises(secagg.Aborted, match="before unmasking: 3 of 6"):
        run.clients[0].reveal(request)


@pytest.mark.parametrize("threshold", [7, 100])
def test_a_threshold_above_the_number_of_clients_is_refused(threshold):
    with pytest.raises(ValueError, match=f"must be at most n_clients = 6, got {threshold}"):
        secagg.Setup(6, 3, threshold)


@pytest.mark.parametrize("threshold", [0, 1, 3])
def test_a_threshold_of_half_or_less_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold must be more than half of the 6 clients"):
        secagg.Setup(6, 3, threshold)


def test_setup_names_what_is_wrong():
    assert [secagg.Setup(n, 1).threshold for n in (2, 3, 10, 100)] == [2, 3, 7, 67]
    with pytest.raises(ValueError, match="n_clients must be at least 2"):
        secagg.Setup(1, 3)
    with pytest.raises(ValueError, match="n_values must be at least 1"):
        secagg.Setup(3, 0)
    with pytest.raises(ValueError, match="bits must be 32 or 64"):
        secagg.Setup(3, 1, bits=8)
    with pytest.raises(ValueError, match="session must be 16 bytes"):
        secagg.Setup(3, 1, session=b"short")
    with pytest.raises(TypeError, match="threshold must be an integer"):
        secagg.Setup(3, 1, threshold=2.5)


# --------------------------------------------------------------------------- both secrets of one


def test_a_client_never_gives_both_secrets():
    run = masked(ring_vectors(6, 3, 32), threshold=4)
    everybody = frozenset(range(6))
    with pytest.raises(ValueError, match="refused: client 5 is asked for as survivor and as drop"):
        run.clients[0].reveal(secagg.UnmaskingRequest(everybody, frozenset({5})))
    run.clients[0].reveal(secagg.UnmaskingRequest(everybody, frozenset()))
    with pytest.raises(RuntimeError, match="client 0: reveal is not due; next: nothing more"):
        run.clients[0].reveal(secagg.UnmaskingRequest(everybody - {5}, frozenset({5})))


def test_a_client_only_answers_for_those_who_shared():
    run = Run(ring_vectors(6, 3, 32), threshold=4).advertise().share(range(5)).mask(range(5))
    with pytest.raises(ValueError, match="must be those who shared; client 5 differs"):
        run.clients[0].reveal(secagg.UnmaskingRequest(frozenset(range(6)), frozenset()))
    with pytest.raises(ValueError, match="survivors must hold client 0"):
        run.clients[0].reveal(secagg.UnmaskingRequest(frozenset({1, 2, 3, 4}), frozenset({0})))


def test_the_server_takes_no_second_secret():
    run = masked(ring_vectors(6, 3, 32), ids=range(5), threshold=4)
    honest = run.clients[0].reveal(run.server.unmasking_request())
    share = honest.seeds[1]
    for false in (
        replace(honest, keys=honest.keys | {1: share}),
        replace(honest, seeds=honest.seeds | {5: share}),
        replace(honest, seeds={}, keys=honest.keys | {1: share}),
    ):
        with pytest.raises(ValueError, match="refused: client 0 sent a share that was not asked"):
            run.server.receive(false)
    with pytest.raises(ValueError, match="must send one share for each"):
        run.server.receive(replace(honest, keys={}))


def test_a_late_masked_input_is_refused():
    """Its sender was given up, so its key may be known: only the self mask still hides it."""
    run = masked(ring_vectors(6, 3, 32), ids=range(5), threshold=4)
    late = run.clients[5].mask(run.rows[5], run.server.boxes_for(5))
    run.reveal()
    with pytest.raises(ValueError, match="MaskedInput of client 5 is refused: it is late"):
        run.server.receive(late)


def test_nothing_is_masked_twice_with_the_same_masks():
    """y - y' would be x - x'."""
    run = Run(ring_vectors(4, 3, 32)).advertise().share()
    boxes = run.server.boxes_for(0)
    run.clients[0].mask(run.rows[0], boxes)
    with pytest.raises(RuntimeError, match="mask is not due; next: reveal"):
        run.clients[0].mask(run.rows[1], boxes)


# --------------------------------------------------------------------- tampering, replay, disorder


def flipped(data, at=-1):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_tampered_box_does_not_open(at):
    run = Run(ring_vectors(4, 3, 32)).advertise().share()
    boxes = run.server.boxes_for(2)
    boxes[3] = flipped(boxes[3], at)
    with pytest.raises(secagg.Tampered, match="client 2: box from client 3: the box does not open"):
        run.clients[2].mask(run.rows[2], boxes)
    boxes = run.server.boxes_for(2)
    assert run.clients[2].mask(run.rows[2], boxes).sender == 2  # the true ones still do


def test_a_replayed_or_misdirected_box_does_not_open():
    rows = ring_vectors(4, 3, 32)
    old, new = (Run(rows, seed=s).advertise().share() for s in (0, 1))
    for wrong in (old.server.boxes_for(2)[3], new.server.boxes_for(1)[3], b""):
        boxes = new.server.boxes_for(2) | {3: wrong}
        with pytest.raises(secagg.Tampered, match="box from client 3"):
            new.clients[2].mask(rows[2], boxes)
    swapped = new.server.boxes_for(2)
    swapped[1], swapped[3] = swapped[3], swapped[1]
    with pytest.raises(secagg.Tampered, match="box from client 1"):
        new.clients[2].mask(rows[2], swapped)


def test_the_same_keys_in_another_session_make_other_boxes():
    """A replay even against a client whose keys repeat: the session is in every derived key."""
    rows = ring_vectors(3, 3, 32)
    old, new = Run(rows), Run(rows)
    new.setup = replace(new.setup, session=bytes([1]) * 16)
    random = seeded(0)
    new.clients = [secagg.Client(k, new.setup, random) for k in range(3)]
    new.server = secagg.Server(new.setup)
    for run in (old, new):
        run.advertise().share()
    assert old.roster == new.roster
    with pytest.raises(secagg.Tampered, match="does not open"):
        new.clients[0].mask(rows[0], new.server.boxes_for(0) | {1: old.server.boxes_for(0)[1]})


@pytest.mark.parametrize("shift", [1, 2**300, "small"])
@pytest.mark.parametrize("kind", ["seeds", "keys"])
def test_a_false_share_is_noticed_when_the_secret_is_rebuilt(kind, shift):
    """ "small": chosen, knowing who answers, so that the secret changes by one and stays short."""
    run = masked(ring_vectors(6, 3, 32), ids=range(5), threshold=4)
    request = run.server.unmasking_request()
    if shift == "small":
        shift = pow(shamir.coefficients_at_zero([1, 2, 3, 4])[1], -1, shamir.PRIME)
    owner = 1 if kind == "seeds" else 5
    for k in range(5):
        answer = run.clients[k].reveal(request)
        if k == 0:
            shares = dict(getattr(answer, kind))
            shares[owner] = (shares[owner] + shift) % shamir.PRIME
            answer = replace(answer, **{kind: shares})
        run.server.receive(answer)
    with pytest.raises(secagg.Tampered, match=f"the shares of client {owner}'s {kind[:-1]} "):
        run.server.total()


def test_shares_must_be_numbers_of_the_field():
    run = masked(ring_vectors(4, 3, 32))
    honest = run.clients[0].reveal(run.server.unmasking_request())
    for bad in (-1, shamir.PRIME, 0.5):
        with pytest.raises(ValueError, match=r"a share must be a number below 2\^521 - 1"):
            run.server.receive(replace(honest, seeds=honest.seeds | {1: bad}))


def test_a_false_roster_is_refused():
    run = Run(ring_vectors(4, 3, 32)).advertise()
    keys = run.roster
    mine = replace(keys[0], masking=keys[1].masking)
    for roster, message in (
        (keys | {0: mine}, "must hold the keys that client 0 sent"),
        (keys | {2: replace(keys[1], sender=2)}, "keys that all differ"),
        (keys | {2: keys[1]}, "lists the keys of client 1 under 2"),
    ):
        with pytest.raises(secagg.Tampered, match=message):
            run.clients[0].share(roster)
    with pytest.raises(secagg.Tampered, match="not an X25519 public key"):
        run.clients[0].share(keys | {2: replace(keys[2], encryption=bytes(32))})  # of low order


def test_messages_come_once_in_order_and_from_who_is_in():
    run = Run(ring_vectors(4, 3, 32), 3)
    first = run.clients[0].advertise()
    run.server.receive(first)
    with pytest.raises(ValueError, match="client 0 is refused: there is one already"):
        run.server.receive(first)
    with pytest.raises(ValueError, match="PublicKeys of client 9 is refused: it missed"):
        run.server.receive(replace(first, sender=9))
    with pytest.raises(RuntimeError, match="round 1 has not begun: end round 0 first"):
        run.server.boxes_for(0)
    with pytest.raises(TypeError, match="message must be one of secagg's messages"):
        run.server.receive("hello")
    run.advertise([1, 2])
    with pytest.raises(ValueError, match="PublicKeys of client 3 is refused: it is late"):
        run.server.receive(run.clients[3].advertise())
    shares = run.clients[0].share(run.roster)
    with pytest.raises(ValueError, match="boxes must be for all others of the roster; client 1"):
        run.server.receive(replace(shares, boxes={2: shares.boxes[2]}))
    run.server.receive(shares)
    run.share([1, 2])
    with pytest.raises(ValueError, match="client must have sent shares itself, got 3"):
        run.server.boxes_for(3)
    with pytest.raises(ValueError, match="boxes must be from others in the roster, got client 3"):
        run.clients[0].mask(run.rows[0], run.server.boxes_for(0) | {3: b""})
    with pytest.raises(TypeError, match="values must be an array of uint32"):
        run.clients[0].mask(np.zeros(3), run.server.boxes_for(0))
    with pytest.raises(ValueError, match=r"values must have shape \(3,\), got \(4,\)"):
        run.clients[0].mask(np.zeros(4, np.uint32), run.server.boxes_for(0))


# ------------------------------------------------------------------------------- in one call


def test_secure_sum_of_floats():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (8, 30)).astype(np.float32)
    done = secagg.secure_sum(x, bound=2.0, drop={3: "mask", 6: "reveal"}, random_bytes=seeded())
    assert done.survivors == (0, 1, 2, 4, 5, 6, 7)
    half = secagg.FixedPoint(2.0, 8).resolution / 2
    exact = x[list(done.survivors)].astype(np.float64).sum(axis=0)
    assert np.abs(done.total - exact).max() <= 7 * half


def test_secure_sum_counts_every_byte():
    done = secagg.secure_sum(np.zeros((5, 10)), bound=1.0, drop={4: "mask"})
    box = 12 + 2 * 66 + 16
    assert done.bytes_up == {
        "advertise": 5 * (4 + 64),
        "share": 5 * (4 + 32 + 4 * (4 + box)),
        "mask": 4 * (4 + 10 * 4),
        "reveal": 4 * (4 + 5 * (4 + 66)),
    }
    assert done.bytes_down == {
        "advertise": 0,
        "share": 5 * 5 * (4 + 64),
        "mask": 4 * 4 * (4 + box),
        "reveal": 4 * 5 * 4,
    }


def test_secure_average_is_the_weighted_mean():
    rng = np.random.default_rng(0)
    w, n_k = rng.uniform(-0.5, 0.5, (7, 40)), [600, 1, 17, 333, 60, 599, 2]
    done = secagg.secure_average(w, n_k, bound=0.5, max_weight=600, bits=64)
    np.testing.assert_allclose(done.mean, np.average(w, axis=0, weights=n_k), atol=1e-12)
    assert done.total_weight == sum(n_k)
    done = secagg.secure_average(w, n_k, bound=0.5, max_weight=600, drop={0: "mask"})
    np.testing.assert_allclose(done.mean, np.average(w[1:], axis=0, weights=n_k[1:]), atol=1e-6)
    assert done.total_weight == sum(n_k[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": np.zeros(3)}, r"vectors must be an array \(K, P\) or a list"),
        ({"vectors": np.zeros((1, 3))}, "vectors must be of at least 2 clients"),
        ({"vectors": [np.zeros(3), np.zeros(4)]}, "vectors must all have the same length"),
        ({"vectors": np.full((3, 2), 1.5)}, r"vectors\[0\] must lie within the fixed-point bound"),
        ({"drop": {9: "mask"}}, "drop must be at most 2"),
        ({"drop": {1: "lunch"}}, r"drop\[1\] must be one of"),
        ({"threshold": 4}, "threshold must be at most n_clients = 3, got 4"),
    ],
)
def test_secure_sum_names_what_is_wrong(change, message):
    settings = {"vectors": np.zeros((3, 2)), "bound": 1.0} | change
    with pytest.raises((TypeError, ValueError), match=message):
        secagg.secure_sum(settings.pop("vectors"), **settings)


def test_weights_need_not_be_whole():
    """A plan that corrects for who rarely answers hands out fractions."""
    rng = np.random.default_rng(0)
    w, p = rng.uniform(-1, 1, (5, 30)), [0.5, 0.2, 0.15, 0.1, 0.05]
    done = secagg.secure_average(w, p, bound=1.0, max_weight=1.0)
    np.testing.assert_allclose(done.mean, np.average(w, axis=0, weights=p), atol=1e-7)
    with pytest.raises(ValueError, match="weights must not vanish"):
        secagg.secure_average(w, [1e-12] * 5, bound=1.0, max_weight=1.0)


def test_secure_average_names_what_is_wrong():
    w = np.zeros((3, 2))
    with pytest.raises(
        ValueError, match=r"weights\[1\] must be a finite number in \(0, 10\], got 11"
    ):
        secagg.secure_average(w, [1, 11, 1], bound=1.0, max_weight=10)
    with pytest.raises(ValueError, match="weights must hold 3 numbers"):
        secagg.secure_average(w, [1, 1], bound=1.0, max_weight=10)
    with pytest.raises(ValueError, match=r"weights\[2\] \* updates\[2\] must lie within"):
        secagg.secure_average(w + np.array([[0], [0], [9]]), [1, 1, 9], bound=1.0, max_weight=10)


def test_a_federation_under_secure_aggregation_learns_the_same():
    train, test = fc.datasets.load_mnist()
    parts = fc.partition.by_sizes(train.y, [500, 20, 100, 300, 80], seed=0)
    settings = {
        "n_rounds": 3,
        "fraction": 0.8,
        "local": fc.LocalSGD(1, 10, 0.05),
        "progress": False,
    }
    model = fc.models.Softmax(784, 10)
    plain = fc.run_federation(model, train, parts, test, **settings)
    strategy = secagg.SecureFedAvg(bound=2.0, max_examples=500)
    secure = fc.run_federation(model, train, parts, test, strategy=strategy, **settings)
    assert np.abs(plain.params - secure.params).max() < 1e-5
    up, down = secure.strategy_state[0]
    assert up > 3 * 4 * (4 + 4 * 7851)
    assert down > 0


def test_secure_fedavg_stops_at_a_client_beyond_the_bound():
    strategy = secagg.SecureFedAvg(bound=0.1, max_examples=10)
    params, updates = np.zeros(4, np.float32), np.ones((3, 4), np.float32)
    with pytest.raises(ValueError, match="must lie within the fixed-point bound"):
        strategy.aggregate(strategy.init(params), params, updates, np.array([5, 5, 5]))
    with pytest.raises(ValueError, match="threshold must be a finite number"):
        secagg.SecureFedAvg(bound=1.0, max_examples=10, threshold=0.4)


def test_without_the_package_there_is_no_weaker_mode():
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import fedcore as fc\n"
        "try:\n    fc.secagg\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "secure aggregation needs the package `cryptography`" in done.stdout
