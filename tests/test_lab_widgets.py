"""Predictions, quizzes, logs, maps and digits: what they say and count, without a browser."""

import json
import re

import numpy as np
import pytest

import fedcore as fc
from fedcore import lab
from fedcore.lab import figure, marking, progress, quiz_file, scoring, style

QUIZZES = sorted(quiz_file.FOLDER.glob("*.json"))


@pytest.fixture(autouse=True)
def fresh_progress():
    progress.clear()
    yield
    progress.clear()


@pytest.fixture
def record():
    """A round of two clients of very unequal size."""
    rng = np.random.default_rng(0)
    data = fc.datasets.Dataset(rng.random((66, 4), dtype=np.float32), rng.integers(0, 3, 66), 3)
    parts = fc.partition.by_sizes(66, [60, 6])
    model = fc.models.Softmax(4, 3)
    history = fc.run_federation(model, data, parts, data, n_rounds=1, fraction=1.0)
    return history.rounds[0]


# ------------------------------------------------------------------------------ predictions


def test_scoring_rewards_what_is_believed():
    assert scoring.brier_points(1.0, True) == 10
    assert scoring.brier_points(1.0, False) == 0
    assert scoring.brier_points(0.5, True) == scoring.brier_points(0.5, False) == 8
    # Winkler: width, and 2 / (1 - 0.8) = 10 times the miss
    assert scoring.interval_score(20, 30, 25) == 10
    assert scoring.interval_score(20, 30, 31) == pytest.approx(20)
    assert scoring.interval_points(20, 30, 25, scale=100) == 9
    assert scoring.interval_points(0, 100, 50, scale=100) == 0


def test_a_choice_is_revealed_once_and_counted_once():
    guess = lab.predict("test/choice", "Which?", options=["left", "right", "neither"])
    guess.commit("right", confidence=0.9)
    shown = guess.reveal("right")
    assert shown.hit is True
    assert progress.total() == scoring.brier_points(0.9, True)
    with pytest.raises(RuntimeError, match="was revealed: a guess can't change now"):
        guess.commit("left", confidence=0.9)
    guess.reveal("right")
    assert progress.total() == scoring.brier_points(0.9, True)
    again = lab.predict("test/choice", "Which?", options=["left", "right", "neither"])
    assert again.revealed  # running the cell again is no second chance


def test_an_interval_hits_or_misses():
    guess = lab.predict("test/interval", "How many?", low=0, high=100, unit="rounds")
    guess.commit(low=20, high=30)
    assert guess.points(25) == 9
    assert guess.reveal(45).hit is False
    assert progress.total() == 0


def test_without_a_guess_it_says_so_and_shows_the_result():
    shown = lab.predict("test/none", "Which?", options=["a", "b"]).reveal("a")
    assert "You had not made a guess" in repr(shown)
    assert "a" in shown._repr_html_()
    assert progress.total() == 0


def test_prediction_text_is_escaped():
    guess = lab.predict("test/html", "Which?", options=["<b>bold</b>", "plain"])
    assert "<b>bold</b>" not in guess.reveal("<b>bold</b>")._repr_html_()


# ----------------------------------------------------------------------------------- quizzes


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_quiz_files_are_complete_and_fair(path):
    """Every answer is explained, and the right one can't be told by its length."""
    questions = quiz_file.load(path.stem)["questions"]
    assert len(questions) >= 8
    choices = [q for q in questions if q["kind"] == "choice"]
    longest = sum(
        max(q["options"], key=lambda option: len(option["text"])).get("correct", False)
        for q in choices
    )
    assert longest <= 0.6 * len(choices)


def texts(value):
    """Every text in a quiz, however deep."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_quiz_maths_can_be_shown(path):
    """Quizzes draw letters and indices, not all of TeX: what they can't draw would stand raw."""
    raw = [text for text in texts(quiz_file.load(path.stem)) if "\\" in style.rich(text)]
    assert raw == []


def test_options_are_shuffled_the_same_way_each_time():
    orders = [marking.shuffled(4, f"q{i}") for i in range(40)]
    assert orders == [marking.shuffled(4, f"q{i}") for i in range(40)]
    assert {order.index(0) for order in orders} == {0, 1, 2, 3}
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)


def right_answer(question):
    if question["kind"] == "number":
        return question["answer"]
    if question["kind"] == "order":
        return list(range(len(question["steps"])))
    if question["kind"] == "line":
        return question["wrong"]
    right = [i for i, option in enumerate(question["options"]) if option.get("correct")]
    return right if question["kind"] == "several" else right[0]


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_right_answers_are_right_and_count_once(path):
    quiz, questions = lab.quiz(path.stem), quiz_file.load(path.stem)["questions"]
    for question in questions:
        assert marking.mark(question, right_answer(question)).right, question["id"]
        assert quiz.answer(question["id"], right_answer(question)).right
    total = progress.total()
    assert total == sum(marking.points(1) for _ in questions)
    quiz.answer(questions[0]["id"], right_answer(questions[0]))
    assert progress.total() == total


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_wrong_answers_are_wrong_and_explained(path):
    for question in quiz_file.load(path.stem)["questions"]:
        wrong = []
        if question["kind"] == "choice":
            wrong = [i for i, o in enumerate(question["options"]) if not o.get("correct")]
        elif question["kind"] == "several":
            wrong = [[], list(range(len(question["options"])))]
        elif question["kind"] == "number":
            wrong = [mistake["answer"] for mistake in question.get("mistakes", [])]
        elif question["kind"] == "line":
            wrong = [i for i in range(len(question["lines"])) if i != question["wrong"]]
        else:
            wrong = [list(range(len(question["steps"])))[::-1]]
        for answer in wrong:
            assert not marking.mark(question, answer).right, (question["id"], answer)


def test_the_browser_is_not_told_the_answers():
    quiz = lab.quiz("02_fedavg")
    sent = json.dumps(
        {name: getattr(quiz, name) for name in quiz.keys if name[0] != "_"}, default=str
    )
    questions = quiz_file.load("02_fedavg")["questions"]
    assert '"correct"' not in sent
    for question in questions:
        for option in question.get("options", []):
            assert option["why"][:25] not in sent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "riddle"}, "kind"),
        ({"options": []}, "options"),
        (
            {"options": [{"text": "a", "why": "b"}, {"text": "c", "why": "d"}]},
            "exactly one correct",
        ),
        ({"id": "Not An Id"}, "id"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_faulty_quiz_file_is_named(change, message):
    good = [{"text": "a", "correct": True, "why": "b"}, {"text": "c", "why": "d"}]
    question = {"id": "q", "kind": "choice", "question": "?", "options": good} | change
    with pytest.raises(ValueError, match=message):
        quiz_file.check({"title": "t", "questions": [question]}, "file.json")


# --------------------------------------------------------------------- logs, maps, digits


def test_the_log_says_who_with_how_much_and_what_weight(record):
    shown = lab.aggregation_log(record, previous_accuracy=record.accuracy - 0.05)
    assert [(client, n) for client, n, *_ in shown.rows] == [(0, 60), (1, 6)]
    assert sum(weight for _, _, weight, _ in shown.rows) == pytest.approx(1)
    for text in (repr(shown), shown._repr_html_()):
        assert "60" in text
        assert f"{60 / 66:.4f}" in text
        assert f"{100 * record.accuracy:.1f}" in text
        assert "5.0 points" in text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_map_shows_the_bytes_of_the_record(record):
    frame = lab.round_frame(record)
    assert {client["id"] for client in frame["clients"]} == {0, 1}
    svg = lab.render_network_svg(record, n_clients=3)
    assert svg.lstrip().startswith("<svg")
    assert "<title" in svg or "aria-label" in svg
    assert "http://" not in svg.replace("http://www.w3.org", "")


def test_a_digit_is_scaled_and_centred_by_its_mass():
    pixels = np.zeros((28, 28), np.float32)
    pixels[2:6, 1:3] = 1  # a small stroke in a corner
    centred = lab.center_digit(pixels)
    assert centred.shape == (28, 28)
    rows, columns = np.mgrid[0:28, 0:28]
    assert np.average(rows, weights=centred) == pytest.approx(13.5, abs=0.6)
    assert np.average(columns, weights=centred) == pytest.approx(13.5, abs=0.6)
    inked = np.flatnonzero(centred.max(axis=1) > 0.05)
    assert 19 <= inked[-1] - inked[0] + 1 <= 21  # 20 pixels high, as in MNIST
    assert not lab.center_digit(np.zeros((28, 28))).any()


def test_a_figure_must_say_what_it_shows():
    ax = fc.plots.digits(np.zeros((1, 784), np.float32))
    with pytest.raises(ValueError, match="alt must say in a sentence"):
        lab.show(ax, alt=" ")


def test_a_figure_on_the_page_has_its_alternative_text(monkeypatch):
    """JupyterLab makes a picture without alt from image/png, and prefers HTML to it."""
    shown = []
    monkeypatch.setattr(figure, "display", lambda data, **rest: shown.append((data, rest)))
    lab.show(fc.plots.digits(np.zeros((1, 784), np.float32)), alt='A "white" square < nothing.')
    ((data, rest),) = shown
    assert 'alt="A &quot;white&quot; square &lt; nothing."' in data["text/html"]
    assert data["image/png"] in data["text/html"]
    assert rest["metadata"] == {"image/png": {"alt": 'A "white" square < nothing.'}}
    assert data["text/plain"] == 'Figure: A "white" square < nothing.'


def test_nothing_is_fetched_from_a_network():
    static = quiz_file.FOLDER.parent / "static"
    for path in static.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org", "")
        assert not re.search(r"https?://|@import|\bimport\s*\(", text), path.name
