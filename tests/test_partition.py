"""Partitions: everything once, the sizes asked for, and the skew that the paper describes."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcore.partition import (
    by_group,
    by_sizes,
    check,
    dirichlet,
    iid,
    quantity_skew,
    shards,
    with_shared,
)

labels = st.lists(st.integers(0, 9), min_size=1, max_size=200).map(np.array)
seeds = st.integers(0, 2**40)


def assert_covers(parts, n):
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))


@settings(max_examples=100)
@given(st.data(), labels, seeds)
def test_iid_deals_everything_evenly(data, y, seed):
    n_clients = data.draw(st.integers(1, len(y)))
    parts = iid(y, n_clients, seed)
    assert len(parts) == n_clients
    assert all(part.dtype == np.int64 for part in parts)
    assert_covers(parts, len(y))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert all((np.diff(part) > 0).all() for part in parts)


@settings(max_examples=100)
@given(st.data(), labels, seeds)
def test_shards_deal_runs_of_the_sorted_labels(data, y, seed):
    n_shards = data.draw(st.integers(1, len(y)))
    per_client = data.draw(
        st.sampled_from([d for d in range(1, n_shards + 1) if n_shards % d == 0])
    )
    n_clients = n_shards // per_client
    parts = shards(y, n_clients, per_client, seed)
    assert len(parts) == n_clients
    assert_covers(parts, len(y))
    small, rest = divmod(len(y), n_shards)
    sizes = [len(part) for part in parts]
    assert per_client * small <= min(sizes)
    assert max(sizes) <= per_client * (small + (rest > 0))
    place = np.empty(len(y), int)  # of each example among the sorted ones
    place[np.argsort(y, kind="stable")] = np.arange(len(y))
    for part in parts:  # at most per_client runs of neighbours
        assert (np.diff(np.sort(place[part])) > 1).sum() < per_client


@settings(max_examples=100)
@given(st.data(), st.lists(st.integers(1, 30), min_size=1, max_size=30), seeds)
def test_by_sizes_gives_the_sizes(data, sizes, seed):
    n = sum(sizes) + data.draw(st.integers(0, 50))
    parts = by_sizes(n, sizes, seed)
    assert [len(part) for part in parts] == sizes
    assert len(np.unique(np.concatenate(parts))) == sum(sizes)
    if n == sum(sizes):
        assert_covers(parts, n)


@pytest.mark.parametrize("split", [iid, shards, lambda y, k, seed: by_sizes(y, [7] * k, seed)])
def test_the_seed_decides(split):
    y = np.arange(300) % 10
    first, again, other = split(y, 30, seed=5), split(y, 30, seed=5), split(y, 30, seed=6)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_labels_or_their_number():
    y = np.arange(50) % 3
    for split in (lambda y: iid(y, 7, seed=1), lambda y: by_sizes(y, [1, 20, 9], seed=1)):
        for a, b in zip(split(y), split(50), strict=True):
            np.testing.assert_array_equal(a, b)


def test_shards_by_hand():
    """Eight examples, two classes, four shards of two: (1, 3) (5, 7) hold ones, the rest zeros."""
    y = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    pieces = [{0, 2}, {4, 6}, {1, 3}, {5, 7}]
    for seed in range(5):
        parts = shards(y, 2, shards_per_client=2, seed=seed)
        for part in parts:
            assert sum(piece <= set(part.tolist()) for piece in pieces) == 2


def test_the_paper_s_two_shards_on_mnist(mnist):
    """100 clients of 600 examples, most with two classes; IID clients have all ten."""
    y = mnist[0].y
    classes = [len(np.unique(y[part])) for part in shards(y, 100, 2, seed=0)]
    assert [len(part) for part in shards(y, 100)] == [600] * 100
    assert max(classes) <= 4
    assert 70 < classes.count(2) < 100
    assert {len(np.unique(y[part])) for part in iid(y, 100)} == {10}


def test_one_shard_each_is_nearly_one_class(mnist):
    y = mnist[0].y
    classes = [len(np.unique(y[part])) for part in shards(y, 100, 1)]
    assert max(classes) == 2
    assert classes.count(1) >= 90


@pytest.mark.parametrize("split", [iid, shards])
def test_ten_thousand_clients_in_under_a_second(split):
    y = np.random.default_rng(0).integers(0, 10, 60_000)
    start = time.process_time()
    parts = split(y, 10_000)
    checked = check(parts, 60_000)
    assert time.process_time() - start < 1
    assert_covers(checked, 60_000)


def test_check_converts_and_keeps():
    parts = check([[3, 1], np.array([0], np.uint8), (5,)], 6)
    assert [part.tolist() for part in parts] == [[3, 1], [0], [5]]
    assert {part.dtype for part in parts} == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    ("parts", "n", "error", "message"),
    [
        ([], 5, ValueError, "parts must hold at least one client, got none"),
        ([[0], []], 5, ValueError, r"parts\[1\] must hold at least one example, got none"),
        ([[0, 1], [2, 1]], 5, ValueError, r"row 1 is in parts\[0\] and parts\[1\]"),
        ([[0], [3, 3]], 5, ValueError, r"row 3 is in parts\[1\] and parts\[1\]"),
        ([[0], [5]], 5, ValueError, r"parts\[1\] must hold indices from 0 to 4, got 5"),
        ([[-1]], 5, ValueError, r"parts\[0\] must hold indices from 0 to 4, got -1"),
        ([[0.0]], 5, TypeError, r"parts\[0\] must be a one-dimensional array of integers"),
        ([[[0]]], 5, TypeError, r"parts\[0\] must be a one-dimensional array of integers"),
        (np.zeros((2, 2), int), 5, TypeError, "parts must be a list of index arrays"),
        ("ab", 5, TypeError, "parts must be a list of index arrays"),
        (None, 5, TypeError, "parts must be a list of index arrays, got None"),
        ([[k] for k in range(6)], 5, ValueError, r"parts\[5\] must hold indices from 0 to 4"),
        ([[0]], 0, ValueError, "n_examples must be at least 1, got 0"),
    ],
)
def test_bad_partition(parts, n, error, message):
    with pytest.raises(error, match=message):
        check(parts, n)


Y = np.arange(10) % 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: iid(Y, 0), ValueError, "n_clients must be at least 1, got 0"),
        (lambda: iid(Y, 11), ValueError, "n_clients must be at most .* 10, got 11"),
        (lambda: iid(Y, 2.0), TypeError, "n_clients must be an integer, got 2.0"),
        (lambda: iid(Y, True), TypeError, "n_clients must be an integer, got True"),
        (lambda: iid([], 1), ValueError, "y must hold at least one label"),
        (lambda: iid(0, 1), ValueError, "y must be at least 1, got 0"),
        (lambda: iid(Y / 2, 1), TypeError, "y must be a one-dimensional array of integer labels"),
        (lambda: iid(Y[None], 1), TypeError, "y must be a one-dimensional"),
        (lambda: iid(None, 1), TypeError, "y must be an integer, got None"),
        (lambda: iid(Y, 2, seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: iid(Y, 2, seed=None), TypeError, "seed must be an integer, got None"),
        (lambda: shards(10, 2), TypeError, "y must be a one-dimensional"),
        (lambda: shards(Y, 11), ValueError, "n_clients must be at most"),
        (lambda: shards(Y, 6, 2), ValueError, r"number of examples, 10, got 6 \* 2 = 12"),
        (lambda: shards(Y, 2, 0), ValueError, "shards_per_client must be at least 1, got 0"),
        (lambda: by_sizes(Y, []), ValueError, "sizes must name at least one client"),
        (lambda: by_sizes(Y, [3, 0]), ValueError, r"sizes\[1\] must be at least 1, got 0"),
        (lambda: by_sizes(Y, [3, 8]), ValueError, "sizes must add up to at most 10 .*, got 11"),
        (lambda: by_sizes(Y, [3, 1.5]), TypeError, r"sizes\[1\] must be an integer, got 1.5"),
        (lambda: by_sizes(Y, 3), TypeError, "sizes must be a sequence of integers, got 3"),
        (lambda: by_sizes(Y, "33"), TypeError, "sizes must be a sequence of integers"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ------------------------------------------------------------------------- Dirichlet and the like

alphas = st.sampled_from([1e-6, 0.01, 0.1, 1.0, 10.0, 1e6])
SKEWED = [dirichlet, quantity_skew]


@settings(max_examples=100)
@given(st.data(), labels, alphas, seeds)
@pytest.mark.parametrize("split", SKEWED)
def test_skewed_splits_deal_everything_once_and_leave_nobody_empty(split, data, y, alpha, seed):
    n_clients = data.draw(st.integers(1, len(y)))
    parts = split(y, n_clients, alpha, seed)
    assert len(parts) == n_clients
    assert_covers(parts, len(y))
    assert all(part.dtype == np.int64 and len(part) for part in parts)
    assert all((np.diff(part) > 0).all() for part in parts)
    again = split(y, n_clients, alpha, seed)
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))


@pytest.mark.parametrize("split", SKEWED)
def test_as_many_clients_as_examples(split):
    assert [len(part) for part in split(np.arange(40) % 3, 40, 1e-3)] == [1] * 40


@pytest.mark.parametrize("split", SKEWED)
def test_other_seed_other_split(split):
    y = np.arange(300) % 10
    first, other = split(y, 10, 1.0, seed=1), split(y, 10, 1.0, seed=2)
    assert any(a.tolist() != b.tolist() for a, b in zip(first, other, strict=True))


def test_small_alpha_means_strong_label_skew(mnist):
    """The direction that is so often turned round: distance from everybody's labels, and sizes."""
    y = mnist[0].y
    distances, spreads = [], []
    for alpha in (0.01, 0.1, 1, 10, 1000):
        parts = dirichlet(y, 20, alpha, seed=3)
        distances.append(np.mean([label_distance(y, part) for part in parts]))
        sizes = [len(part) for part in parts]
        spreads.append(max(sizes) / np.mean(sizes))
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 1.4  # one class only: 1.8
    assert distances[-1] < 0.1
    assert spreads[0] > 3
    assert spreads[-1] < 1.05


def label_distance(y, part):
    own, all_of_them = (np.bincount(rows, minlength=10) / len(rows) for rows in (y[part], y))
    return np.abs(own - all_of_them).sum()


def test_dirichlet_s_shares_have_the_moments_of_the_distribution():
    """Client 0's share of a class: mean 1/K, variance (1/K)(1 - 1/K) / (K alpha + 1)."""
    K, alpha, y = 4, 0.5, np.repeat(np.arange(5), 400)
    shares = np.array(
        [
            np.bincount(y[part], minlength=5) / 400
            for seed in range(150)
            for part in dirichlet(y, K, alpha, seed)
        ]
    ).ravel()
    assert shares.mean() == pytest.approx(1 / K)  # everything is dealt
    assert shares.var() == pytest.approx((1 / K) * (1 - 1 / K) / (K * alpha + 1), rel=0.1)


def test_quantity_skew_changes_sizes_only(mnist):
    y = mnist[0].y
    largest = [
        max(len(part) for part in quantity_skew(y, 50, alpha, seed=0)) for alpha in (0.1, 1, 1000)
    ]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] > 6 * 1200
    assert largest[-1] < 1.2 * 1200
    for part in quantity_skew(y, 10, 0.5, seed=0):
        if len(part) > 2000:
            assert label_distance(y, part) < 0.12
    assert [p.tolist() for p in quantity_skew(200, 9, 0.3)] == [
        p.tolist() for p in quantity_skew(np.arange(200) % 7, 9, 0.3)
    ]


@settings(max_examples=50)
@given(st.data(), st.lists(st.integers(0, 4), min_size=30, max_size=200).map(np.array), seeds)
def test_groups_stay_apart(data, groups, seed):
    names, counts = np.unique(groups, return_counts=True)
    n_clients = data.draw(st.integers(len(names), len(names) * int(counts.min())))
    parts = by_group(groups, n_clients, seed)
    assert_covers(parts, len(groups))
    for k, part in enumerate(parts):
        assert set(groups[part].tolist()) == {names[k % len(names)]}
    for g in range(len(names)):
        sizes = [len(part) for part in parts[g :: len(names)]]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dirichlet(Y, 2, 0), ValueError, r"alpha must be .*\(0, inf\), got 0"),
        (lambda: dirichlet(Y, 2, float("nan")), ValueError, "alpha must be .*got nan"),
        (lambda: dirichlet(Y, 2, "1"), TypeError, "alpha must be a number, got '1'"),
        (lambda: dirichlet(Y, 11, 1), ValueError, "n_clients must be at most .* 10, got 11"),
        (lambda: dirichlet(10, 2, 1), TypeError, "y must be a one-dimensional"),
        (lambda: quantity_skew(Y, 11, 1), ValueError, "n_clients must be at most .* 10, got 11"),
        (lambda: quantity_skew(Y, 2, -1), ValueError, r"alpha must be .*\(0, inf\), got -1"),
        (lambda: by_group(Y, 1), ValueError, "n_clients must be at least 2, got 1"),
        (lambda: by_group(Y, 12), ValueError, "give group 0 at most 5 clients, .* got 12: 6 in"),
        (lambda: by_group(Y / 2, 2), TypeError, "y must be a one-dimensional array of integer"),
    ],
)
def test_bad_skew(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_shared_rows_are_everybody_s():
    parts = with_shared([[3, 1], [0]], [4, 2], 6)
    assert [part.tolist() for part in parts] == [[3, 1, 4, 2], [0, 4, 2]]


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ([], "shared must name at least one row, got none"),
        ([2, 2], "shared must name rows that no client holds, each once, got row 2"),
        ([1], "shared must name rows that no client holds, each once, got row 1"),
        ([6], "shared must hold indices from 0 to 5, got 6"),
    ],
)
def test_bad_shared_rows(shared, message):
    with pytest.raises(ValueError, match=message):
        with_shared([[3, 1], [0]], shared, 6)
