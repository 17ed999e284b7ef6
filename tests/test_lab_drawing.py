"""Charts, network maps and the digit pad: what they are given to draw, and what they say."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from lab_data import toy

import fedcore as fc
from fedcore import lab
from fedcore.lab import digit, frames, style

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def history():
    train, test = toy()
    parts = fc.partition.by_sizes(train.y, [200, 100, 50, 30, 20])
    model = fc.models.Softmax(12, 4)
    return fc.run_federation(model, train, parts, test, n_rounds=3, fraction=0.6, progress=False)


# --------------------------------------------------------------------------------- line chart


def test_a_chart_grows_point_by_point():
    chart = lab.LineChart("round", "loss")
    chart.add("a", 1, 0.5)
    chart.add("b", 1, 2.0)
    chart.add("a", 2, 0.25)
    assert chart.lines == {"a": ([1.0, 2.0], [0.5, 0.25]), "b": ([1.0], [2.0])}
    assert [line["look"] for line in chart.spec["lines"]] == [1, 2]
    assert chart.spec["lines"][0]["y"] == [0.5, 0.25]
    assert chart.spec["y"]["min"] < 0.25
    assert chart.spec["y"]["max"] > 2.0
    assert "a: 0.5 at 1, 0.25 at 2." in chart.spec["label"]


def test_fixed_ranges_stay_and_set_replaces():
    chart = lab.LineChart(x_range=(0, 20), y_range=(0, 1))
    chart.set("a", [1, 2], [0.3, 0.4])
    chart.set("a", [5], [0.9])
    assert (chart.spec["x"]["min"], chart.spec["x"]["max"]) == (0, 20)
    assert chart.lines["a"] == ([5.0], [0.9])
    chart.clear()
    assert chart.spec["lines"] == []


def test_what_is_not_finite_leaves_a_gap():
    chart = lab.LineChart()
    chart.set("a", [1, 2, 3, 4], [0.1, float("nan"), float("inf"), 0.2])
    assert chart.spec["lines"][0]["y"] == [0.1, None, None, 0.2]
    assert chart.spec["y"]["max"] < 1


def test_bad_points_are_named_and_leave_no_line_behind():
    chart = lab.LineChart()
    with pytest.raises(ValueError, match="ys must hold 2 numbers, as many as xs, got 1"):
        chart.set("a", [1, 2], [1])
    with pytest.raises(ValueError, match="x must be a finite number"):
        chart.add("a", float("nan"), 1)
    with pytest.raises(TypeError, match="line must be a name, got 3"):
        chart.add(3, 1, 1)
    with pytest.raises(ValueError, match=r"y_range\[1\] must be"):
        lab.LineChart(y_range=(1, 0))
    assert chart.lines == {}
    for i in range(6):
        chart.add(f"line {i}", 1, 1)
    with pytest.raises(ValueError, match="at most 6 lines"):
        chart.add("one more", 1, 1)


# -------------------------------------------------------------------------------- network map


def test_a_frame_reconciles_with_its_record(history):
    for record in history.rounds:
        frame = frames.round_frame(record)
        assert (frame["bytes_down"], frame["bytes_up"]) == (record.bytes_down, record.bytes_up)
        assert [client["id"] for client in frame["clients"]] == list(record.clients)
        told = zip(frame["clients"], record.n_examples, record.weights, strict=True)
        for client, n, weight in told:
            assert f"holds {n} examples" in client["notes"]
            assert f"weight in the mean {weight:.4g}" in client["notes"]


def test_raw_data_goes_one_way():
    frame = lab.data_frame([600, 20], bytes_per_example=785)
    assert (frame["bytes_down"], frame["bytes_up"]) == (0, 620 * 785)
    assert [client["up"] for client in frame["clients"]] == [600 * 785, 20 * 785]
    assert "620 examples" in frame["text"]
    with pytest.raises(ValueError, match=r"n_examples\[1\] must be at least 1, got 0"):
        lab.data_frame([1, 0], 785)
    with pytest.raises(ValueError, match="at least one client"):
        lab.data_frame([], 785)


@pytest.mark.parametrize("n", [1, 2, 5, 16, 17, 48, 100, 200, 1000])
def test_clients_stand_apart_from_each_other_and_from_the_server(n):
    places = np.array(frames.positions(n))
    assert places.shape == (n, 2)
    radii = np.hypot(*places.T)
    assert radii.max() <= 1
    assert radii.min() >= 0.4
    if n > 1:
        gaps = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
        assert gaps[~np.eye(n, dtype=bool)].min() > 0.6 * min(1.0, 4 / n)


def test_a_map_can_be_filled_while_a_federation_runs():
    train, test = toy()
    parts = fc.partition.iid(train.y, 10)
    network = lab.NetworkMap(n_clients=10)
    assert "No round yet" in network.text()
    history = fc.run_federation(
        fc.models.Softmax(12, 4), train, parts, test, n_rounds=3, fraction=0.3, on_round=network.add
    )
    assert network.frames == lab.NetworkMap(history).frames
    assert network.index == 2
    assert network.text().startswith("Round 3: ")
    network.show(0)
    assert network.text().startswith("Round 1: ")


def test_a_map_names_what_does_not_fit(history):
    with pytest.raises(ValueError, match="n_clients must be at least"):
        lab.NetworkMap(history, n_clients=2)
    with pytest.raises(ValueError, match="n_clients must be given"):
        lab.NetworkMap()
    with pytest.raises(ValueError, match="names must hold 5 texts"):
        lab.NetworkMap(history, n_clients=5, names=["a"])
    with pytest.raises(TypeError, match="rounds must be a History, records or frames, got 3"):
        lab.NetworkMap(3)
    with pytest.raises(ValueError, match="index must be at most 2, got 3"):
        lab.NetworkMap(history).show(3)


def test_the_picture_is_valid_described_and_shows_who_took_part(history):
    root = ET.fromstring(lab.render_network_svg(history, index=1))
    record = history.rounds[1]
    titles = [circle.find(f"{SVG}title").text for circle in root.iter(f"{SVG}circle")]
    asked = [k for k, title in enumerate(titles) if "not asked" not in title]
    assert len(titles) == 5
    assert asked == list(record.clients)
    assert len(list(root.iter(f"{SVG}line"))) == len(record.clients)
    assert root.find(f"{SVG}title").text.startswith("Round 2: ")
    assert len(root.find(f"{SVG}desc").text) > 40


def test_who_was_silent_is_crossed_out_and_sends_nothing(history):
    record = history.rounds[1]
    quiet = next(k for k in range(5) if k not in record.clients)
    asked = (*record.clients, quiet)
    frame = frames.asked_frame(record, asked)
    up = {client["id"]: client["up"] for client in frame["clients"]}
    assert [k for k in asked if not up[k]] == [quiet]
    assert frame["text"].count(f"nothing came from {quiet}.") == 1
    root = ET.fromstring(lab.render_network_svg(frame, n_clients=5))
    dots = {int(c.find(f"{SVG}title").text[7]): c.attrib for c in root.iter(f"{SVG}circle")}
    filled = {k: dot["fill"] for k, dot in dots.items()}
    assert filled[quiet] == filled[next(k for k in range(5) if k not in asked)]  # nothing in it
    assert all(filled[k] != filled[quiet] for k in record.clients)
    (cross,) = root.iter(f"{SVG}path")
    begin = re.match(r"M([\d.]+),([\d.]+)L([\d.]+),([\d.]+)", cross.get("d")).groups()
    x0, y0, x1, y1 = map(float, begin)
    middle = (float(dots[quiet]["cx"]), float(dots[quiet]["cy"]))
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx(middle, abs=0.1)
    dashed = [line for line in root.iter(f"{SVG}line") if line.get("stroke-dasharray")]
    assert [(float(line.get("x2")), float(line.get("y2"))) for line in dashed] == [middle]


def test_the_log_has_a_row_for_each_report_and_refuses_what_is_no_record(history):
    shown = lab.aggregation_log(history.rounds[0])
    assert len(re.findall(r"<tr>", shown._repr_html_())) == len(history.rounds[0].clients) + 2
    assert "points)" not in shown.summary
    with pytest.raises(ValueError, match="previous_accuracy must be"):
        lab.aggregation_log(history.rounds[0], 91.2)
    with pytest.raises(TypeError, match="record must be a RoundRecord"):
        lab.aggregation_log(history)


# ----------------------------------------------------------------------------------- digit pad


def test_digits_that_mnist_has_centred_stay_where_they_are(mnist):
    """Their makers' centring is an independent check of ours."""
    _, test = mnist
    images = test.x[:300].reshape(-1, 28, 28)
    same = [np.allclose(lab.center_digit(image), image, atol=1e-6) for image in images]
    assert np.mean(same) > 0.9  # the rest lie on the edge between two pixels
    shifted = np.zeros((60, 80), dtype=np.float32)
    shifted[30:58, 3:31] = images[0]
    np.testing.assert_array_equal(lab.center_digit(shifted), lab.center_digit(images[0]))


def test_a_drawing_keeps_its_proportions_and_its_ink():
    tall = np.zeros((112, 112), dtype=np.uint8)
    tall[10:90, 50:60] = 255
    image = lab.center_digit(tall)
    rows, columns = np.flatnonzero(image.max(axis=1)), np.flatnonzero(image.max(axis=0))
    assert (len(rows), len(columns)) == (20, 2)
    assert image.dtype == np.float32
    assert image.max() == pytest.approx(1)
    np.testing.assert_array_equal(lab.center_digit(tall > 0), image)
    np.testing.assert_allclose(lab.center_digit(tall / 255.0), image)


def test_one_dot_is_a_drawing_too():
    dot = np.zeros((28, 28))
    dot[0, 27] = 1
    image = lab.center_digit(dot)
    assert (image > 0).sum() == 400
    assert image.sum() == pytest.approx(400)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros(784), "pixels must have two dimensions"),
        (np.zeros((0, 5)), "pixels must have two dimensions, none empty"),
        (np.full((4, 4), 2.0), r"pixels must be in \[0, 1\], got 2 to 2"),
        (np.full((4, 4), np.nan), "pixels must be finite"),
        (np.zeros((4, 4), dtype=np.int64), "pixels must be uint8, bool or float"),
    ],
)
def test_what_is_no_drawing_is_named(pixels, message):
    with pytest.raises((TypeError, ValueError), match=message):
        lab.center_digit(pixels)


@pytest.fixture
def pad(mnist):
    model = fc.models.Softmax(784, 10)
    trained = fc.local_sgd(model, model.init(), mnist[0].x[:3000], mnist[0].y[:3000])
    return lab.DigitPad(model, {"untrained": model.init(), "trained": trained}, examples=mnist[1])


def test_the_pad_reads_what_the_page_sends(pad):
    seven = np.zeros((digit.GRID, digit.GRID), dtype=np.uint8)
    seven[20:29, 30:75] = 255
    for i in range(60):
        seven[29 + i, 66 - i // 3 : 75 - i // 3] = 255
    pad.set_state({"chosen": 1})
    pad.set_state({"pixels": memoryview(seven.tobytes())})
    np.testing.assert_array_equal(pad.image, lab.center_digit(seven))
    assert pad.probabilities.argmax() == 7
    assert pad.answer["text"].startswith("The model reads 7 (")
    assert len(pad.answer["bars"]) == 10
    assert pad.seen == (255 * pad.image).round().astype(np.uint8).tobytes()


def test_an_untrained_model_has_no_opinion(pad):
    pad.set_state({"sample": 0})
    np.testing.assert_allclose(pad.probabilities, 0.1)
    pad.set_state({"chosen": 1})
    assert pad.probabilities.argmax() == 7
    assert pad.answer["text"].endswith("; it is a 7.")


def test_clearing_the_pad_takes_the_answer_away(pad):
    pad.set_state({"sample": 0})
    assert pad.probabilities is not None
    pad.set_state({"sample": -1, "pixels": memoryview(bytes(digit.GRID**2))})
    assert pad.probabilities is None
    assert pad.answer["bars"] == []
    pad.set_state({"sample": 3})
    pad.set_state({"sample": -1})
    assert pad.probabilities is None


def test_a_message_that_is_no_drawing_is_an_empty_one(pad):
    pad.set_state({"pixels": memoryview(b"123")})
    assert pad.probabilities is None


def test_other_parameters_can_be_put_in(pad):
    pad.use(pad._model.init())
    assert pad.names == ["model"]
    with pytest.raises(ValueError, match="length of params must be at most 7850, got 7851"):
        pad.use(np.zeros(7851, dtype=np.float32))


def test_a_pad_needs_a_model_of_digits():
    with pytest.raises(TypeError, match="model must read 784 pixels, got Softmax"):
        lab.DigitPad(fc.models.Softmax(12, 4), np.zeros(52, dtype=np.float32))


def test_a_close_call_is_told_as_one():
    p = np.full(10, 0.02)
    p[3], p[5] = 0.45, 0.39
    text = digit.reading(p).replace(style.NBSP, " ")
    assert text == "The model reads 3 (45 %), but it might be 5 (39 %)."


# --------------------------------------------------------------------------------- the modules


@pytest.mark.parametrize(
    "widget", [lab.FederationPanel, lab.LineChart, lab.NetworkMap, lab.DigitPad]
)
def test_a_module_exports_one_render_and_declares_nothing_twice(widget):
    source = str(widget._esm)
    assert source.count("export default") == 1
    names = re.findall(r"^(?:function|const|let) (\w+)", source, flags=re.M)
    assert len(names) == len(set(names))
