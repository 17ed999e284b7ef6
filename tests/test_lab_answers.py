"""Guesses, quizzes and XP from the page's side: what it may send, what it is sent, what counts."""

import json

import pytest
import traitlets
from jsonschema import Draft202012Validator

from fedcore import lab
from fedcore.lab import marking, progress, quiz_file, scoring, style
from fedcore.lab.predict import least_confidence
from fedcore.lab.quiz import Quiz

NUMBER = {
    "id": "n",
    "kind": "number",
    "question": "?",
    "answer": 31.4,
    "tolerance": 0.1,
    "why": "right",
    "mistakes": [{"answer": 7.85, "tolerance": 0.01, "why": "four bytes each"}],
}
CHOICE = {
    "id": "c",
    "kind": "choice",
    "question": "Is `a < b`?",
    "options": [
        {"text": "<i>yes</i>", "correct": True, "why": "it is"},
        {"text": "no", "why": "look again"},
    ],
}
SEVERAL = {
    "id": "s",
    "kind": "several",
    "question": "?",
    "options": [
        {"text": "a", "correct": True, "why": "A"},
        {"text": "b", "correct": True, "why": "B"},
        {"text": "c", "why": "C"},
    ],
}
ORDER = {"id": "o", "kind": "order", "question": "?", "steps": ["1", "2", "3"], "why": "so"}


@pytest.fixture(autouse=True)
def fresh_progress():
    progress.clear()
    yield
    progress.clear()


@pytest.fixture
def quiz():
    questions = [CHOICE, SEVERAL, NUMBER, ORDER]
    made = Quiz("demo", {"title": "Demo", "questions": questions})
    yield made
    made.close()


# ------------------------------------------------------------------------------------ guesses


def page(widget, **state):
    """What a browser sends."""
    widget.set_state(state)


def test_the_page_can_not_change_a_guess_after_the_result():
    guess = lab.predict("t/late", "Which?", options=["a", "b"])
    page(guess, guess={"choice": 0, "confidence": 0.9})
    guess.reveal("b")
    page(guess, guess={"choice": 1, "confidence": 1.0})
    assert guess.guess == {"choice": 0, "confidence": 0.9}
    assert guess.reveal("b").points == scoring.brier_points(0.9, False)


def test_a_guess_that_was_not_locked_in_still_counts():
    guess = lab.predict("t/unlocked", "How many?", low=0, high=10)
    page(guess, guess={"low": 2, "high": 4})
    assert guess.reveal(3).hit is True
    assert guess.locked


@pytest.mark.parametrize(
    ("choice", "confidence"), [(2, 0.9), (-1, 0.9), (None, 0.9), (0, 1.1), (0, 0.2)]
)
def test_impossible_choices_from_the_page_are_refused(choice, confidence):
    guess = lab.predict("t/bad", "Which?", options=["a", "b"])
    with pytest.raises(traitlets.TraitError, match="impossible"):
        page(guess, guess={"choice": choice, "confidence": confidence})


@pytest.mark.parametrize(("low", "high"), [(4, 2), (-1, 2), (0, 11)])
def test_impossible_ranges_from_the_page_are_refused(low, high):
    guess = lab.predict("t/bad-range", "How many?", low=0, high=10)
    with pytest.raises(traitlets.TraitError, match="impossible"):
        page(guess, guess={"low": low, "high": high})


def test_a_cell_run_again_asks_anew_until_the_result_was_shown():
    first = lab.predict("t/again", "Which?", options=["a", "b"])
    first.commit("a", 0.8)
    assert lab.predict("t/again", "Which?", options=["a", "b"]).guess is None
    first.reveal("a")
    again = lab.predict("t/again", "Which?", options=["a", "b"])
    assert (again.revealed, again.guess) == (True, {"choice": 0, "confidence": 0.8})
    again.reveal("a")
    assert len(progress.earned()) == 1


@pytest.mark.parametrize(("n", "least"), [(2, 50), (3, 35), (4, 25), (5, 20)])
def test_nobody_must_be_surer_than_a_blind_guess(n, least):
    assert least_confidence(n) == least


def test_both_scores_are_proper():
    """Saying what one believes has the best expected score."""
    points = scoring.brier_points
    for belief in (0.5, 0.7, 0.9):
        expected = {
            said: belief * points(said, True) + (1 - belief) * points(said, False)
            for said in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        }
        assert expected[belief] >= max(expected.values()) - 0.5  # points are whole numbers
    bluff = {said: 0.6 * points(said, True) + 0.4 * points(said, False) for said in (0.6, 1.0)}
    assert bluff[0.6] > bluff[1.0]
    outcomes = range(101)  # uniform on 0 to 100: the central 80 % is 10 to 90
    mean = {
        (low, high): sum(scoring.interval_score(low, high, x) for x in outcomes)
        for low, high in [(10, 90), (0, 100), (30, 70), (20, 80)]
    }
    assert min(mean, key=mean.get) == (10, 90)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": ["a"]}, "options must hold at least two different texts"),
        ({"options": ["a", "a"]}, "options must hold at least two different texts"),
        ({"options": "ab"}, "options must be a list of texts, got 'ab'"),
        ({"options": ["a", 2]}, r"options\[1\] must be a non-empty text, got 2"),
        ({"options": ["a", "b"], "low": 1}, "options must be left out"),
        ({"low": 1}, "predict needs options, or both low and high"),
        ({"low": 2, "high": 2}, "high must be"),
        ({"low": 0, "high": 1, "step": 0}, "step must be"),
        ({"low": 0, "high": 1, "unit": 3}, "unit must be a text, got 3"),
    ],
)
def test_bad_questions_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        lab.predict("t/x", "?", **arguments)


@pytest.mark.parametrize(("key", "question"), [("", "?"), ("k", " "), (3, "?"), ("k", None)])
def test_key_and_question_must_be_texts(key, question):
    with pytest.raises(TypeError, match="must be a non-empty text"):
        lab.predict(key, question, options=["a", "b"])


def test_a_result_that_is_no_option_is_refused():
    guess = lab.predict("t/none", "?", options=["a", "b"])
    with pytest.raises(ValueError, match="actual must be one of"):
        guess.reveal("c")
    assert not guess.revealed


def test_a_result_off_the_scale_is_shown_and_costs_its_distance():
    guess = lab.predict("t/off", "?", low=0, high=100, unit="kB")
    guess.commit(low=80, high=90)
    shown = guess.reveal(250)
    assert (shown.hit, shown.points) == (False, 0)
    assert "misses the result by 160" in shown.verdict
    assert "left:100.00%" in shown._repr_html_()


# ------------------------------------------------------------------------------------- quizzes


@pytest.mark.parametrize("answer", ["31.4", "31,4", " 31.35 ", 31.5, "31.3"])
def test_numbers_are_read_as_people_write_them(answer):
    assert marking.mark(NUMBER, answer).right


@pytest.mark.parametrize(
    ("answer", "text"), [("7.85", "four bytes each"), ("31", "Too small."), (32, "Too large.")]
)
def test_a_wrong_number_says_why_or_which_way(answer, text):
    mark = marking.mark(NUMBER, answer)
    assert (mark.right, mark.text) == (False, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,000", 1000), ("1,000.5", 1000.5), ("0,125", 0.125), ("-2", -2), ("9 %", 9), ("1e3", 1e3)],
)
def test_commas_signs_and_exponents(text, value):
    assert marking.mark({**NUMBER, "answer": value, "tolerance": 0}, text).right


@pytest.mark.parametrize("answer", ["many", "", "inf", "nan", "1 or 2"])
def test_what_is_no_number_is_not_marked(answer):
    with pytest.raises(ValueError, match="answer must be a number"):
        marking.mark(NUMBER, answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [(CHOICE, 2), (CHOICE, "no"), (CHOICE, True), (SEVERAL, [3]), (SEVERAL, 1), (ORDER, [0, 1])],
)
def test_answers_of_the_wrong_form_are_refused(question, answer):
    with pytest.raises(ValueError, match="answer must"):
        marking.mark(question, answer)


def test_several_tells_about_what_was_ticked_and_how_many_are_missing():
    mark = marking.mark(SEVERAL, [0, 2])
    assert mark.notes == {0: (True, "A"), 2: (False, "C")}
    assert mark.text == "One more belongs to it."
    assert marking.mark(SEVERAL, [1, 0]).notes == {0: (True, "A"), 1: (True, "B"), 2: (False, "C")}


def test_order_tells_how_far_it_is_right():
    assert marking.mark(ORDER, [0, 2, 1]).text.startswith("The first step is right.")
    assert marking.mark(ORDER, [1, 0, 2]).text == "Something else comes first."
    assert marking.mark(ORDER, [0, 1, 2]) == marking.Mark(True, "so")


def test_points_fall_with_each_attempt_and_come_once(quiz):
    quiz.answer("c", 1)
    quiz.answer("c", 0)
    assert (quiz.results["c"]["gained"], progress.total(), quiz.xp) == (5, 5, 5)
    quiz.answer("c", 1)  # after the right answer nothing changes
    assert (quiz.results["c"]["right"], quiz.results["c"]["tries"]) == (True, 2)
    for order in ([2, 1, 0], [1, 2, 0], [0, 1, 2]):
        quiz.answer("o", order)
    assert progress.total() == 7


def test_a_fresh_copy_of_the_quiz_earns_nothing_twice(quiz):
    quiz.answer("c", 0)
    again = Quiz("demo", {"title": "Demo", "questions": [CHOICE]})
    again.answer("c", 0)
    assert progress.total() == 10
    assert again.results["c"]["gained"] == 0
    again.close()


def test_what_the_page_sends_is_marked_or_answered_with_a_reason(quiz):
    told = []
    quiz.send = told.append
    quiz._on_message(quiz, {"question": "n", "answer": "31.4"}, [])
    assert quiz.results["n"]["right"]
    for content in ({"question": "n2", "answer": 1}, {"question": "c", "answer": 9}, {}):
        quiz._on_message(quiz, content, [])
    assert len(told) == 3
    assert "9" in told[1]["problem"]


def test_quiz_texts_reach_the_page_escaped(quiz):
    assert quiz.questions[0]["html"] == "Is <code>a &lt; b</code>?"
    assert quiz.questions[0]["items"][0] == "&lt;i&gt;yes&lt;/i&gt;"


def test_an_unknown_quiz_lists_the_known_ones():
    with pytest.raises(FileNotFoundError, match=r"no quiz '99_none'; there are: .*02_fedavg"):
        lab.quiz("99_none")


def test_a_file_that_is_no_json_is_named(tmp_path):
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json: expected JSON"):
        quiz_file.load(path)


@pytest.mark.parametrize(
    ("question", "change", "message"),
    [
        (NUMBER, {"tolerance": -1}, "question 'n': tolerance: expected a number >= 0, found -1"),
        (NUMBER, {"answer": "31"}, "question 'n': answer: expected a number, found \"31\""),
        (NUMBER, {"why": ""}, "question 'n': why: expected a text"),
        (NUMBER, {"mistakes": [{"answer": 31.4, "tolerance": 0, "why": "x"}]}, "that is not right"),
        (SEVERAL, {"options": [{"text": "a", "why": "A"}] * 2}, "expected different texts"),
        (CHOICE, {"options": [{"text": "a", "correct": True}] * 2}, "option 1: why: expected"),
        (ORDER, {"steps": ["1", "2"]}, "at least three different texts"),
        (ORDER, {"skills": "fedavg"}, "skills: expected a list of names"),
    ],
)
def test_faults_of_each_kind_are_named(question, change, message):
    with pytest.raises(ValueError, match=message):
        quiz_file.check({"title": "t", "questions": [{**question, **change}]})


def test_an_id_used_twice_is_a_fault():
    with pytest.raises(ValueError, match="question 2: id: expected a name used once"):
        quiz_file.check({"title": "t", "questions": [CHOICE, CHOICE]})


# ------------------------------------------------------------------------------------ progress


def test_xp_of_a_key_never_fall_and_never_add_up():
    assert progress.award("a", 5, 10) == 5
    assert progress.award("a", 3, 10) == 0
    assert progress.award("a", 9, 10, ("averaging",)) == 4
    progress.award("b", 0, 10)
    assert progress.total() == 9
    assert [(e.key, e.points, e.skills) for e in progress.earned()] == [
        ("a", 9, ("averaging",)),
        ("b", 0, ()),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 1, 1), "key must be a non-empty name"),
        (("a", 11, 10), "points must be at most 10, got 11"),
        (("a", -1, 10), "points must be at least 0, got -1"),
        (("a", 1.5, 10), "points must be an integer, got 1.5"),
    ],
)
def test_impossible_awards_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        progress.award(*arguments)


def test_listeners_hear_the_total_until_they_leave():
    heard = []
    leave = progress.listen(heard.append)
    progress.award("a", 5, 10)
    leave()
    progress.award("b", 5, 10)
    assert heard == [5]


# ------------------------------------------------------------------------------------ safe text


def test_rich_text_escapes_everything_but_its_two_marks():
    assert style.rich("<b> `x<y` & $w_{t+1}$") == (
        "&lt;b&gt; <code>x&lt;y</code> &amp; "
        '<span class="fc-math"><i>w</i><sub><i>t</i>+1</sub></span>'
    )
    assert style.rich("$<script>$") == '<span class="fc-math">&lt;script&gt;</span>'
    assert style.rich("it costs 5 $ and `") == "it costs 5 $ and `"
    assert style.plain("weight $n_{k}/n$ of `w`") == "weight n_k/n of w"


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (31_400, "31.4 kB"), (999_700, "1.00 MB"),
     (6_280_000, "6.28 MB"), (188_160_000, "188 MB"), (47_000_000_000, "47.0 GB")],
)  # fmt: skip
def test_sizes_have_three_figures(n_bytes, text):
    assert style.size(n_bytes).replace(style.NBSP, " ") == text


# ------------------------------------------------------------------------------- the wrong line

LINE = {
    "id": "l",
    "kind": "line",
    "question": "?",
    "lines": ["a = 1", "    b < 2", "c"],
    "wrong": 1,
    "why": "so",
    "others": {"0": "fine", "2": "fine too"},
}


def test_the_wrong_line_is_chosen_and_each_other_one_explains_itself():
    assert marking.mark(LINE, 1) == marking.Mark(True, notes={1: (True, "so")})
    assert marking.mark(LINE, 2) == marking.Mark(False, notes={2: (False, "fine too")})
    with pytest.raises(ValueError, match="positions from 0 to 2"):
        marking.mark(LINE, 3)


def test_lines_keep_their_order_and_indentation_and_are_escaped():
    made = Quiz("demo", {"title": "Demo", "questions": [LINE]})
    (asked,) = made.questions
    assert asked["order"] == [0, 1, 2]
    assert asked["items"][1] == f"<code>{4 * style.NBSP}b{style.NBSP}&lt;{style.NBSP}2</code>"
    assert "wrong" not in asked
    made.close()


SCHEMA = Draft202012Validator(
    json.loads((quiz_file.FOLDER.parent / "quiz.schema.json").read_text(encoding="utf-8"))
)


def test_the_schema_is_one_and_accepts_every_quiz_file():
    Draft202012Validator.check_schema(SCHEMA.schema)
    paths = sorted(quiz_file.FOLDER.glob("*.json"))
    assert paths
    for path in paths:
        faults = SCHEMA.iter_errors(json.loads(path.read_text(encoding="utf-8")))
        assert [f"{path.name}: {f.json_path}: {f.message}" for f in faults] == []


@pytest.mark.parametrize(
    ("question", "change"),
    [
        (CHOICE, {"options": CHOICE["options"][:1]}),
        (CHOICE, {"options": [{**option, "correct": True} for option in CHOICE["options"]]}),
        (CHOICE, {"options": [{"text": "a", "correct": True, "why": "A"}, {"text": "b"}]}),
        (CHOICE, {"answer": 1}),
        (CHOICE, {"id": "Not so"}),
        (CHOICE, {"kind": "guess"}),
        (SEVERAL, {"options": [{"text": "a", "why": "A"}, {"text": "b", "why": "B"}]}),
        (NUMBER, {"tolerance": -1}),
        (NUMBER, {"mistakes": [{"answer": 7}]}),
        (ORDER, {"steps": ["1", "1", "2"]}),
        (ORDER, {"why": " "}),
        (LINE, {"lines": ["a", "b"]}),
        (LINE, {"others": {"x": "y"}}),
    ],
)
def test_schema_and_own_check_refuse_the_same(question, change):
    good = {"title": "t", "questions": [question]}
    assert SCHEMA.is_valid(good)
    assert quiz_file.check(good) is good
    bad = {"title": "t", "questions": [{**question, **change}]}
    assert not SCHEMA.is_valid(bad)
    with pytest.raises(ValueError, match="expected"):
        quiz_file.check(bad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lines": ["a", "b"]}, "at least three lines"),
        ({"wrong": 3}, "wrong: expected a number from 0 to 2"),
        ({"wrong": True}, "wrong: expected a number"),
        ({"others": {"0": "x"}}, "others: 2: expected a text"),
        ({"others": {"0": "x", "1": "y", "2": "z"}}, "others: expected fields from"),
    ],
)
def test_faults_of_a_line_question_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        quiz_file.check({"title": "t", "questions": [{**LINE, **change}]})


@pytest.mark.parametrize("name", sorted(p.stem for p in quiz_file.FOLDER.glob("*.json")))
def test_every_lesson_asks_in_every_way(name):
    assert {q["kind"] for q in quiz_file.load(name)["questions"]} == set(quiz_file.KINDS)
