"""The record of points: kept, never lost, never farmed; the map and certificate made from it."""

import html
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys

import pytest
from conftest import ROOT

from fedcore import lab
from fedcore.lab import marking, progress, quiz_file, skills
from fedcore.lab.quiz import Quiz
from fedcore.lab.skill_map import missing
from fedcore.lab.store import NewerRecord, RecordWarning, Store

CHOICE = {
    "id": "c",
    "kind": "choice",
    "question": "?",
    "options": [{"text": "yes", "correct": True, "why": "so"}, {"text": "no", "why": "look"}],
}


@pytest.fixture(autouse=True)
def record(tmp_path, monkeypatch):
    """A fresh record of its own for each test; returns its path."""
    path = tmp_path / "record" / "progress.sqlite3"
    monkeypatch.setenv("FEDCORE_PROGRESS", str(path))
    monkeypatch.setattr(progress, "_stores", {})
    return path


def restart(monkeypatch):
    """What a restart of the kernel forgets."""
    monkeypatch.setattr(progress, "_stores", {})
    monkeypatch.setattr(sys.modules["fedcore.lab.predict"], "_revealed", {})


def run(program, **options):
    command = [sys.executable, "-c", f"from fedcore.lab import progress\n{program}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, **options)


def test_tests_never_touch_the_learners_own_record():
    from platformdirs import user_data_path

    assert not progress.location().is_relative_to(user_data_path("fedcore"))


def test_the_record_lies_in_the_users_data_folder(monkeypatch):
    from platformdirs import user_data_path

    from fedcore.lab.store import default_path

    monkeypatch.delenv("FEDCORE_PROGRESS")
    assert default_path() == user_data_path("fedcore") / "progress.sqlite3"


# --------------------------------------------------------------------------------------- kept


def test_points_outlive_the_kernel(monkeypatch):
    progress.award("quiz/a/b", 7, 10, ("x",))
    restart(monkeypatch)
    assert progress.earned() == [progress.Earned("quiz/a/b", 7, 10, ("x",))]


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_kill_9_loses_nothing_that_was_confirmed():
    writer = run("for i in range(10**6): progress.award(f'k{i}', 1, 1); print(i, flush=True)")
    confirmed = [int(writer.stdout.readline()) for _ in range(40)][-1]
    os.kill(writer.pid, signal.SIGKILL)
    rest = writer.communicate()[0].split()
    confirmed = int(rest[-1]) if rest else confirmed
    kept = {entry.key for entry in progress.earned()}
    assert {f"k{i}" for i in range(confirmed + 1)} <= kept
    assert len(kept) <= confirmed + 2  # the one that was under way


@pytest.mark.slow(seconds=5)
def test_several_notebooks_write_at_once():
    program = (
        "for i in range(15):\n    progress.award(f'mine-{NAME}-{i}', 1, 1)\n"
        "    progress.award(f'ours-{i}', 1, 1)\n    progress.attempt('shared')"
    )
    writers = [run(program.replace("{NAME}", str(n))) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0] * 3
    for writer in writers:
        writer.stdout.close()
    assert progress.total() == 3 * 15 + 15
    assert progress.attempt("shared") == 46


@pytest.mark.parametrize("damage", ["garbage", "zeros", "torn"])
def test_a_damaged_file_is_set_aside_and_reported(record, damage, monkeypatch):
    for i in range(400):
        Store(record).attempt(f"key {i} " + 50 * "x") if i % 40 == 0 else None
    progress.award("a", 5, 10)
    whole = record.read_bytes()
    broken = {
        "garbage": b"not a database at all" * 200,
        "zeros": b"\x00" * 200 + whole[200:],
        "torn": whole[:4096] + b"\xff" * (len(whole) - 4096),
    }[damage]
    record.write_bytes(broken)
    restart(monkeypatch)
    with pytest.warns(RecordWarning, match="set aside as .*damaged-"):
        progress.award("b", 3, 10)
    (aside,) = record.parent.glob("progress.damaged-*.sqlite3")
    assert aside.read_bytes() == broken
    assert [entry.key for entry in progress.earned()] == ["b"]


def test_a_later_format_is_not_touched(record):
    progress.award("a", 1, 1)
    with sqlite3.connect(record) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = record.read_bytes()
    with pytest.raises(NewerRecord, match="later version of the course"):
        Store(record).rows()
    assert record.read_bytes() == before


def test_a_folder_that_can_not_be_written_is_reported(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FEDCORE_PROGRESS", str(tmp_path / "file" / "progress.sqlite3"))
    with pytest.warns(RecordWarning, match="this session only"):
        progress.award("a", 2, 10)
    assert progress.total() == 2


# ---------------------------------------------------------------------------- taken elsewhere


def test_a_saved_record_continues_on_another_machine(tmp_path, monkeypatch):
    progress.award("a", 5, 10, ("x",))
    progress.award("b", 2, 10)
    progress.attempt("a")
    saved = progress.save(tmp_path / "mine.json")
    monkeypatch.setenv("FEDCORE_PROGRESS", str(tmp_path / "other.sqlite3"))
    progress.award("b", 9, 10)
    assert progress.load(saved) == 14
    assert progress.load(saved) == 14  # again adds nothing
    assert progress.attempt("a") == 2
    assert {(e.key, e.points) for e in progress.earned()} == {("a", 5), ("b", 9)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "found"),
        ("[]", "'fedcore progress': 1"),
        ('{"fedcore progress": 1, "earned": [["a", 11, 10, []]], "tries": {}}', "expected earned"),
        ('{"fedcore progress": 1, "earned": [], "tries": {"a": -1}}', "expected tries"),
    ],
)
def test_a_faulty_file_changes_nothing(tmp_path, text, says):
    progress.award("a", 1, 10)
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.json: .*{re.escape(says)}"):
        progress.load(tmp_path / "bad.json")
    assert progress.total() == 1


# -------------------------------------------------------------------------------- never farmed


def quiz():
    return Quiz("demo", {"title": "Demo", "questions": [CHOICE]})


def test_a_restart_gives_no_second_first_attempt(monkeypatch):
    quiz().answer("c", 1)
    restart(monkeypatch)
    quiz().answer("c", 0)
    assert progress.total() == marking.SECOND
    restart(monkeypatch)
    quiz().answer("c", 0)
    assert progress.total() == marking.SECOND


def test_the_first_reveal_is_final(monkeypatch):
    def guess(choice, confidence):
        made = lab.predict("t/x", "?", options=["a", "b"])
        made.commit(choice, confidence)
        made.reveal("a")

    guess("b", 0.8)
    first = progress.total()
    restart(monkeypatch)
    guess("a", 1.0)
    assert progress.total() == first < 10


# --------------------------------------------------------------------------------- the skills


def full():
    return [progress.Earned(k, n, n) for skill in skills.skills() for k, n in skill.keys.items()]


def test_skills_need_only_what_stands_before_them():
    seen = set()
    for skill in skills.skills():
        assert set(skill.needs) <= seen, skill.id
        seen.add(skill.id)
    assert len(seen) == len(skills.skills()) > 20


def test_every_check_question_and_prediction_feeds_a_skill():
    fed = {key for skill in skills.skills() for key in skill.keys}
    for path in quiz_file.FOLDER.glob("*.json"):
        for question in quiz_file.load(path.stem)["questions"]:
            assert f"quiz/{path.stem}/{question['id']}" in fed
    points = {}
    for path in (ROOT / "exercises").glob("*/*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            settings = cell["metadata"].get("nbgrader", {})
            if settings.get("grade"):
                points[f"exercise/{path.stem}/{settings['grade_id']}"] = settings["points"]
    known = {k: n for s in skills.skills() for k, n in s.keys.items() if k.startswith("exercise")}
    assert known == {key: skills.TASK * n for key, n in points.items()}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").glob("0*.ipynb")), ids=lambda p: p.stem
)
def test_predictions_of_the_map_are_asked_in_their_lesson(path):
    code = "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
    asked = set(re.findall(r'lab\.predict\(\s*"([^"]+)"', code))
    mine = [s for s in skills.skills() if s.lesson.name == path.stem]
    mapped = {k.split("/", 1)[1] for s in mine for k in s.keys if k.startswith("predict")}
    assert mapped <= asked


def test_challenges_of_the_lessons_are_those_of_the_map():
    asked = set()
    for path in (ROOT / "notebooks").glob("0*.ipynb"):
        code = "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
        asked |= set(re.findall(r'lab\.Challenge\(\s*"([^"]+)"', code))
    keys = {key for skill in skills.skills() for key in skill.keys}
    assert {f"challenge/{key}" for key in asked} == {k for k in keys if k.startswith("challenge/")}
    assert asked


def test_a_skill_opens_at_sixty_per_cent_and_lets_others_follow():
    empty = {s.skill.id: s.status for s in skills.states([])}
    assert (empty["model"], empty["round"]) == ("ready", "later")
    model = skills.skills()[0]
    record, points = [], 0
    for key, most in model.keys.items():
        record.append(progress.Earned(key, most, most))
        points += most
        status = skills.states(record)[0].status
        assert status == ("open" if points >= 0.6 * sum(model.keys.values()) else "ready")
    everything = {s.skill.id: s.status for s in skills.states(full()) if s.possible}
    assert set(everything.values()) == {"open"}


def test_next_step_follows_the_course():
    assert "lesson 0" in skills.next_step(skills.states([]))
    first = [e for e in full() if "00" in e.key]
    assert "lesson 1" in skills.next_step(skills.states(first))
    assert "certificate" in skills.next_step(skills.states(full()))


def test_map_and_header_follow_the_record():
    shown, header = lab.skill_map(), lab.progress_header("00_start_here")
    assert shown.state["xp"] == 0
    progress.award("quiz/00_start_here/raw-data", 10, 10)
    by_name = {skill["id"]: skill for skill in shown.state["skills"]}
    assert (shown.state["xp"], by_name["client and server"]["points"]) == (10, 10)
    assert [skill["points"] for skill in header.state["skills"]] == [0, 10, 0]
    shown.close()
    header.close()
    with pytest.raises(ValueError, match="name must be a lesson"):
        lab.progress_header("99_none")


# ------------------------------------------------------------------------------ the certificate


def test_the_certificate_names_what_is_missing(tmp_path):
    with pytest.raises(RuntimeError, match=r"missing: model \(0 of"):
        lab.certificate("Ada", tmp_path / "c.html")
    assert not list(tmp_path.glob("*.html"))


def test_the_certificate_is_computed_and_says_what_it_is(tmp_path):
    for entry in full():
        progress.award(entry.key, entry.points, entry.possible)
    page = lab.certificate("<b>Ada</b>", tmp_path / "c.html").read_text()
    assert "self-study record" in page
    assert "&lt;b&gt;Ada" in page
    assert f"{progress.total()} XP" in page
    assert all(f"<td>{s.skill.id}</td>" in page for s in skills.states() if s.possible)
    assert missing() == []


def test_the_certificate_draws_the_map_with_what_is_open(tmp_path):
    for entry in full():
        progress.award(entry.key, entry.points, entry.possible)
    page = lab.certificate("Ada", tmp_path / "c.html").read_text()
    drawing = page[page.index("<svg") : page.index("</svg>")]
    now = skills.states()
    assert drawing.count("<line") == sum(len(s.skill.needs) for s in now)
    for state in now:
        tick = "\N{CHECK MARK} " if state.status == "open" else ""
        assert f">{tick}{html.escape(state.skill.id)}</text>" in drawing
    boxes = re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)"', drawing)
    assert len(boxes) == len(now)
    for x, y, width in (map(int, box) for box in boxes):
        others = [int(a) for a, b, _ in boxes if int(b) == y and int(a) > x]
        assert x + width <= min(others, default=900)  # no box covers its neighbour
