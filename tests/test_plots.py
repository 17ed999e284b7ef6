"""The figures show the numbers they are given, and say what the axes mean."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

import fedcore as fc
from fedcore import plots
from fedcore.history import History, RoundRecord


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def record(t=1, accuracy=0.5, clients=(0, 2, 5), n_examples=(10, 30, 60)):
    weights = tuple(n / sum(n_examples) for n in n_examples)
    norms = (1.0,) * len(clients)
    return RoundRecord(t, clients, n_examples, weights, norms, 1.0, accuracy, 8, 8, 0.1, 0.1, 0.1)


def history(*accuracies):
    rounds = [record(t, a) for t, a in enumerate(accuracies, start=1)]
    return History(rounds, np.zeros(2, np.float32), 0, (1, 2), 6, 2.3, 0.1)


def test_palette_has_eight_colours():
    """That they can be told apart, and seen on white, is tested in test_palette.py."""
    assert len(set(plots.PALETTE)) == 8
    assert all(to_hex(to_rgb(color)).upper() == color for color in plots.PALETTE)
    assert "#0072B2" in plots.PALETTE


def test_accuracy_curves_show_the_histories():
    histories = {"fast": history(0.6, 0.95), "slow": history(0.2, 0.3, 0.4)}
    ax = plots.accuracy_curves(histories, target=0.9)
    fast, slow, target = ax.get_lines()
    assert fast.get_xdata().tolist() == [0, 1, 2]
    np.testing.assert_allclose(fast.get_ydata(), [10, 60, 95])
    np.testing.assert_allclose(slow.get_ydata(), [10, 20, 30, 40])
    assert list(target.get_ydata()) == [90, 90]
    assert ax.get_xlabel() == "communication round"
    assert ax.get_ylabel() == "test accuracy (%)"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["fast: round 2", "slow: not reached", "target 90 %"]
    for property_ in ("get_color", "get_marker", "get_linestyle"):
        assert getattr(fast, property_)() != getattr(slow, property_)()


def test_single_curve_needs_no_legend():
    assert plots.accuracy_curves({"": history(0.5)}).get_legend() is None
    texts = plots.accuracy_curves({"": history(0.5)}, target=0.5).get_legend().get_texts()
    assert texts[0].get_text() == "round 1"


def test_many_curves_stay_different():
    ax = plots.accuracy_curves({str(i): history(0.5) for i in range(12)})
    looks = {(li.get_color(), li.get_marker(), li.get_linestyle()) for li in ax.get_lines()}
    assert len(looks) == 12


def test_digits_stand_in_reading_order():
    x = np.zeros((5, 16), np.float32)
    x[np.arange(5), np.arange(5)] = 1  # image i has ink at pixel i only
    ax = plots.digits(x, y=[0, 1, 2, 3, 4], predicted=[0, 1, 7, 3, 4], columns=3)
    (image,) = ax.get_images()
    ink = np.argwhere(image.get_array().filled(0) == 1)
    assert len(ink) == 5
    assert (ink[:3, 0] < ink[3, 0]).all()
    assert ink[0, 1] < ink[1, 1] < ink[2, 1]
    texts = {text.get_text(): text.get_color() for text in ax.texts}
    assert list(texts) == ["0", "1", "2 → 7 ✗", "3", "4"]
    assert texts["2 → 7 ✗"] == plots.VERMILLION
    assert texts["0"] == "black"
    assert not ax.axison


def test_digits_without_labels():
    ax = plots.digits(np.ones((2, 784), np.float32))
    assert all(text.get_text() == "" for text in ax.texts)
    only = plots.digits(np.ones((2, 784), np.float32), predicted=np.array([3, 4]))
    assert [text.get_text() for text in only.texts] == ["3", "4"]


def test_class_counts_count():
    y = np.array([0, 0, 1, 2, 2, 2])
    ax = plots.class_counts(y, [[0, 2], [1], [3, 4]])
    (image,) = ax.get_images()
    assert image.get_array().tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 2]]
    assert [text.get_text() for text in ax.texts] == list("110100002")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("client", "class")


def test_class_counts_of_many_clients_have_a_scale():
    y = np.arange(300) % 10
    ax = plots.class_counts(y, fc.partition.shards(y, 30))
    assert not ax.texts
    assert [axes.get_ylabel() for axes in ax.figure.axes] == ["class", "examples"]
    ax = plots.class_counts(y, fc.partition.shards(y, 30), colorbar=False)
    assert len(ax.figure.axes) == 1


def test_weights_bars_show_weights_and_examples():
    ax = plots.weights_bars(record(t=4))
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [10, 30, 60])
    assert [text.get_text() for text in ax.texts] == ["10", "30", "60"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "2", "5"]
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), 100 / 3)
    assert "%" in ax.get_ylabel()
    assert "3 in round 4" in ax.get_xlabel()
    many = plots.weights_bars(record(clients=tuple(range(50)), n_examples=(2,) * 50))
    assert not many.texts


def test_figures_go_where_they_are_told():
    _, axes = plt.subplots(1, 4)
    y = np.arange(20) % 4
    assert plots.accuracy_curves({"a": history(0.5)}, ax=axes[0]) is axes[0]
    assert plots.digits(np.ones((1, 4), np.float32), ax=axes[1]) is axes[1]
    assert plots.class_counts(y, [[0], [1]], ax=axes[2]) is axes[2]
    assert plots.weights_bars(record(), ax=axes[3]) is axes[3]
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plots.accuracy_curves({}), TypeError, "histories must be a dict"),
        (lambda: plots.accuracy_curves(history(0.5)), TypeError, "histories must be a dict"),
        (lambda: plots.accuracy_curves({"a": 1}), TypeError, r"histories\['a'\] must be a History"),
        (lambda: plots.accuracy_curves({"a": history(0.5)}, 90), ValueError, "target must be"),
        (lambda: plots.accuracy_curves({"a": history(0.5)}, ax=3), TypeError, "ax must be"),
        (lambda: plots.digits(np.ones((2, 10))), ValueError, "x must hold square images"),
        (lambda: plots.digits(np.ones((0, 9))), ValueError, "x must hold square images"),
        (lambda: plots.digits(np.ones((2, 9)), [1]), ValueError, "y must hold 2 labels"),
        (
            lambda: plots.digits(np.ones((1, 9)), columns=0),
            ValueError,
            "columns must be at least 1",
        ),
        (lambda: plots.class_counts([0, 1], [[0], [0]]), ValueError, "parts must be disjoint"),
        (lambda: plots.class_counts([0.5], [[0]]), TypeError, "y must be"),
        (lambda: plots.weights_bars(None), TypeError, "record must be a RoundRecord, got None"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
