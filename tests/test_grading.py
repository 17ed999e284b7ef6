"""The grader can be trusted: what cheats earn, what hostile answers do, what a kill leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT

from fedcore import grading
from fedcore.grading import batch, compare, files, gradebook, plain
from fedcore.grading.process import namespaces

QUICK = grading.Limits(cpu_seconds=2, wall_seconds=120)  # a busy machine: much waiting
SHORT = grading.Limits(cpu_seconds=2, wall_seconds=6)  # for what never answers
EXERCISE = grading.Exercise(ROOT / "solutions" / "02_fedavg" / "02_fedavg.ipynb")
SECRET = ROOT / "solutions" / "02_fedavg" / "02_fedavg.ipynb"
GOOD = "import numpy as np\ndef weighted_mean(u, n):\n    return np.average(u, axis=0, weights=n)\n"
CHECKS = ["mean-weights", "mean-zero"]


def mark(*cells, only=CHECKS, limits=QUICK):
    """Results of the two checks of ``weighted_mean`` for a notebook of these cells."""
    return grading.grade(EXERCISE, cells, only=only, limits=limits)


def points(*cells, **options):
    return sum(result.points for result in mark(*cells, **options))


def ask(code, *arguments, name="f", limits=QUICK):
    with grading.Answer([code], name, limits) as answer:
        return answer(*arguments)


# ------------------------------------------------------------------------------------- cheats

WRONG = "def weighted_mean(u, n):\n    return u.mean(axis=0)\n"
CHEATS = {
    "patched numpy": """
import numpy as np
np.allclose = np.isclose = np.array_equal = lambda *a, **k: True
np.testing.assert_allclose = lambda *a, **k: None
np.asarray = np.array = lambda *a, **k: 0
"""
    + WRONG,
    "patched checker": """
import fedcore.grading.compare, fedcore.grading.engine, fedcore.lab as lab
fedcore.grading.compare.expect = lambda *a, **k: None
fedcore.grading.compare.near = lambda *a: True
fedcore.grading.engine.grade = lambda *a, **k: []
lab.grade = lambda *a: None
"""
    + WRONG,
    "equals everything": """
class Yes:
    __eq__ = __ge__ = __le__ = lambda self, other: True
    __array__ = lambda self, *a, **k: self
    shape = size = property(lambda self: Yes())
def weighted_mean(u, n):
    return Yes()
""",
    "a float that equals everything": """
class Yes(float):
    __eq__ = lambda self, other: True
    __sub__ = __rsub__ = lambda self, other: Yes(0)
    __hash__ = float.__hash__
def weighted_mean(u, n):
    return [Yes(0)] * u.shape[1]
""",
    "an array that equals everything": """
import numpy as np
class Yes(np.ndarray):
    __eq__ = __le__ = lambda self, other: np.ones(self.shape, bool)
    __array_function__ = __array_ufunc__ = lambda self, *a, **k: True
def weighted_mean(u, n):
    return np.zeros(u.shape[1]).view(Yes)
""",
    "prints what is expected": """
def weighted_mean(u, n):
    print([2.5, 4.25])
    print("passed, 3 of 3 points")
""",
    "edited checks": "def test(answer): return None\ndef weighted_mean(u, n): return None\n",
    "forged replies": """
import os, struct, json
def weighted_mean(u, n):
    text = json.dumps({"points": 3, "status": "right"}).encode()
    for fd in range(3, 30):
        try: os.write(fd, struct.pack("<QQ", len(text), 0) + text)
        except OSError: pass
    return None
""",
    "looks for the result in the caller": """
import sys, gc
def weighted_mean(u, n):
    frame = sys._getframe()
    while frame:
        for key in ("right", "target", "expected"):
            if key in frame.f_locals or key in frame.f_globals:
                return frame.f_locals.get(key, frame.f_globals.get(key))
        frame = frame.f_back
    return u.mean(axis=0)
""",
    "a leftover global": """
updates = [[1.0, 2.0], [3.0, 5.0]]
weights = [1, 3]
""",
}


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_earn_nothing(name):
    cells = [CHEATS[name]]
    if name == "a leftover global":
        cells.append("def weighted_mean(u, n):\n    return [sum(w) for w in (updates, weights)]")
    results = mark(*cells)
    assert [r.points for r in results] == [0, 0]
    assert all(r.message for r in results)


READ = {
    "open": "open(PATH).read()",
    "os.open": "os.read(os.open(PATH, os.O_RDONLY), 100)",
    "pathlib": "__import__('pathlib').Path(PATH).read_text()",
    "io": "__import__('io').FileIO(PATH).read()",
    "numpy": "np.fromfile(PATH, dtype='u1')",
    "linecache": "__import__('linecache').getlines(PATH)[0]",
    "list": "os.listdir(os.path.dirname(PATH))",
    "proc": "open('/proc/%d/mem' % os.getppid(), 'rb').read(1)",
    "cat": "__import__('subprocess').check_output(['cat', PATH])",
    "system": "os.popen('cat ' + PATH).read()",
    "link": "(os.symlink(PATH, 'x'), open('x').read())",
    "import": "__import__('fedcore.grading', fromlist=['find']).find('02_fedavg').points",
}


@pytest.mark.parametrize("way", READ)
def test_the_solution_can_not_be_read(way):
    code = f"import os, numpy as np\nPATH = {str(SECRET)!r}\ndef f(x):\n    return {READ[way]}\n"
    with pytest.raises(grading.AnswerFailed):
        ask(code, 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Landlock is Linux's")
def test_the_kernel_alone_keeps_files_closed(tmp_path):
    """Without the audit hook, which is Python's and could be got around."""
    program = (
        "import os, sys\nfrom fedcore.grading import sandbox\n"
        f"ok = sandbox.restrict_files(sandbox.readable({str(ROOT / 'fedcore')!r}), sys.argv[1])\n"
        "if not ok: print('no landlock'); sys.exit()\n"
        "open(os.path.join(sys.argv[1], 'mine'), 'w').write('x')\n"
        f"for path in ({str(SECRET)!r}, '/etc/passwd'):\n"
        "    try: os.open(path, os.O_RDONLY); print('open', path)\n"
        "    except PermissionError: print('closed')\n"
        "try: os.execv('/bin/true', ['true'])\n"
        "except PermissionError: print('closed')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    if "no landlock" in done.stdout:
        pytest.skip("this kernel has no Landlock")
    assert done.stdout.split() == ["closed"] * 3, done.stdout
    assert (tmp_path / "mine").read_text() == "x"


def test_there_is_no_network():
    code = "import socket\ndef f(x):\n    return socket.create_connection(('127.0.0.1', x), 1)"
    with pytest.raises(grading.AnswerFailed, match="may not use socket"):
        ask(code, 9)


@pytest.mark.skipif(not namespaces(), reason="this machine gives no namespaces")
def test_the_kernel_alone_keeps_the_network_away():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        program = f"import socket; socket.create_connection({server.getsockname()!r}, 5)"
        command = [sys.executable, "-c", program]
        assert subprocess.run(command, check=False).returncode == 0
        apart = subprocess.run([*namespaces(), *command], capture_output=True, check=False)
        assert apart.returncode != 0


# ------------------------------------------------------------------------------ hostile answers

HOSTILE = {
    "endless loop": ("while True: pass", "time", "never ends"),
    "sleep": ("__import__('time').sleep(999)", "time", "No result after 6 s"),
    "memory": ("return bytearray(10**11)", "memory", "2 GB"),
    "sys.exit": ("__import__('sys').exit(0)", "error", "sys.exit"),
    "os._exit": ("__import__('os')._exit(0)", "died", "ended in the middle"),
    "kill": ("__import__('os').kill(__import__('os').getpid(), 9)", "error", "Not allowed"),
    "fork": ("while True: __import__('os').fork()", "error", "Not allowed"),
    "endless recursion": ("return f(x)", "error", "RecursionError"),
    "huge result": ("return bytearray(1) and 'x' * 10**8", "type", "more than 64 MB"),
    "no data": ("return (i for i in range(3))", "type", "an object of type generator"),
    "nested": ("l = []\n    for _ in range(10**5): l = [l]\n    return l", "type", "recursion"),
    "error with an endless text": ("raise ValueError('x' * 10**7)", "error", "ValueError: xxx"),
    "interrupt": ("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_end_with_a_reason(name):
    body, kind, says = HOSTILE[name]
    with pytest.raises(grading.AnswerFailed) as failed:
        ask(f"def f(x):\n    {body}\n", 1, limits=SHORT if name == "sleep" else QUICK)
    assert failed.value.kind == kind
    assert says in str(failed.value)
    assert len(str(failed.value)) < 1200


def test_huge_output_goes_nowhere():
    assert ask("def f(x):\n    for _ in range(100): print('x' * 10**6)\n    return x + 1", 1) == 2


def test_after_a_time_out_the_next_call_gets_a_fresh_process():
    code = "def f(x):\n    while x: pass\n    return 7"
    with grading.Answer([code], "f", QUICK) as answer:
        with pytest.raises(grading.AnswerFailed):
            answer(1)
        assert answer(0) == 7


def test_scratch_files_are_possible_and_gone_afterwards():
    code = "import os\ndef f(x):\n    open('a', 'w').write('b')\n    return [open('a').read(), os."
    code += "getcwd()]"
    text, folder = ask(code, 1)
    assert text == "b"
    assert not os.path.exists(folder)


def test_bytes_that_are_no_frame_are_refused():
    import io

    for bad in (b"x" * 16, plain._LENGTHS.pack(2, 0) + b"{}", plain._LENGTHS.pack(1, 0) + b"["):
        with pytest.raises((ValueError, EOFError)):
            plain.read(io.BytesIO(bad))
    header = b'{"~": "array", "dtype": "O8", "shape": [1]}'
    with pytest.raises(ValueError, match="not plain data"):
        plain.read(io.BytesIO(plain._LENGTHS.pack(len(header), 8) + header + b"12345678"))


def test_plain_data_arrives_as_it_was():
    import io

    sent = {"a": [1, 2.5, None, True, "é"], 3: np.arange(6, dtype="f4").reshape(2, 3)}
    stream = io.BytesIO()
    plain.write(stream, sent)
    stream.seek(0)
    got = plain.read(stream)
    assert got["a"] == sent["a"]
    np.testing.assert_array_equal(got[3], sent[3])
    assert got[3].dtype == np.float32


# --------------------------------------------------------------------------- reading notebooks


def test_an_answer_may_have_helpers_imports_and_other_cells():
    cells = ["import numpy as np", "def share(n):\n    return n / np.sum(n)", "1 / 0", "x = (("]
    cells += ["%matplotlib inline\n!ls", "def weighted_mean(u, n):\n    return share(n) @ u"]
    assert points(*cells) == 3


def test_the_last_definition_counts():
    assert points(WRONG, GOOD) == 3
    assert points(GOOD, WRONG) == 0


@pytest.mark.parametrize(
    ("cell", "status", "says"),
    [
        ("x = 1", "missing", "No cell of the notebook defines `weighted_mean`"),
        ("def weighted_mean(u, n)\n    return 1", "error", "can't be read"),
        ("def weighted_mean(u, n):\n    raise NotImplementedError()", "blank", "Not attempted"),
        ("def weighted_mean(u, n):\n    return None", "wrong", "is a `return` missing?"),
        ("def weighted_mean(u, n):\n    return u", "wrong", "has shape (3, 5), expected (5,)"),
        ("def weighted_mean(u, n):\n    return 'a'", "wrong", "must hold numbers"),
        ("def weighted_mean(u, n):\n    return u[0] * float('nan')", "wrong", "NaN"),
        ("def weighted_mean(u, n):\n    return u[0] + 1", "wrong", "off by up to"),
        ("def weighted_mean(u, n):\n    return u[9]", "error", "IndexError"),
        ("def weighted_mean(u):\n    return u", "error", "TypeError"),
        ("weighted_mean = 3", "error", "TypeError"),
        ("def weighted_mean(u, n):\n    return zzz", "error", "not other cells' variables"),
    ],
)
def test_what_learners_are_told(cell, status, says):
    first = mark(cell)[0]
    assert (first.points, first.status) == (0, status)
    assert says in first.message


def test_expect_names_the_mistake_before_the_size():
    with pytest.raises(compare.Wrong, match="plain mean"):
        compare.expect(2.0, 3.0, {"plain mean": 2.0})
    compare.expect([3.0], 3.0)
    compare.expect(np.float32(1.00001), 1)


def test_an_unknown_check_lists_the_known_ones():
    with pytest.raises(KeyError, match=r"has no check 'nope'; it has: .*mean-weights"):
        mark(GOOD, only=["nope"])


# ---------------------------------------------------------------------------------- the class


@pytest.fixture
def course(tmp_path):
    """A course with one exercise and one hand-in of each kind."""
    (tmp_path / "solutions").mkdir()
    shutil.copytree(ROOT / "solutions" / "02_fedavg", tmp_path / "solutions" / "02_fedavg")
    blank = (ROOT / "exercises" / "02_fedavg" / "02_fedavg.ipynb").read_text()
    answer = '"# YOUR CODE HERE\\n",\n    "raise NotImplementedError()"'
    assert answer in blank
    duplicated = json.loads(blank)
    duplicated["cells"] += duplicated["cells"][-6:]
    texts = {
        "anna": SECRET.read_text(),
        "blank": blank,
        "bomb": blank.replace(answer, '"while True: pass"'),
        "duplicated": json.dumps(duplicated),
        "exit": blank.replace(answer, '"import os; os._exit(0)"'),
        "garbage": "{]",
        "html": "<html>",
        "nested": '{"cells":' + "[" * 100_000,
        "wrong-type": '{"cells": [{"cell_type": "code", "source": 3}]}',
    }
    for student, text in texts.items():
        folder = tmp_path / "submitted" / student / "02_fedavg"
        folder.mkdir(parents=True)
        (folder / "02_fedavg.ipynb").write_text(text)
    (tmp_path / "submitted" / "nothing" / "02_fedavg").mkdir(parents=True)
    return tmp_path


@pytest.mark.slow(seconds=10)
def test_no_hand_in_ends_the_batch_and_each_has_its_reason(course):
    said = []
    quick = grading.Limits(cpu_seconds=1, wall_seconds=20)
    graded = {g.submission.student: g for g in batch.run(course, quick, say=said.append)}
    assert graded.pop("anna").points == 16
    assert [g.points for g in graded.values()] == [0] * len(graded)
    for student in ("garbage", "html", "nested", "wrong-type", "nothing"):
        assert graded[student].problem
    assert {r.status for r in graded["bomb"].results if r.check.answers[0] == "settings"} == {
        "time"
    }
    assert {r.status for r in graded["exit"].results} >= {"died", "blank"}
    rows = gradebook.table(course / "gradebook.db")
    assert len(rows) == 10
    assert {row[3] for row in rows} == {16}
    lines = (course / "grades.csv").read_text().splitlines()
    assert lines[:2] == ["student,02_fedavg,total", "anna,16,16"]
    pages = list((course / "feedback").glob("*/02_fedavg/02_fedavg.html"))
    assert len(pages) == 10
    text = (course / "feedback" / "garbage" / "02_fedavg" / "02_fedavg.html").read_text()
    assert "Not graded" in text
    assert "no notebook" in text


def test_feedback_is_escaped():
    from fedcore.grading import feedback

    result = grading.Result(EXERCISE.checks[0], 0, "error", "<script>1</script>", "<img>")
    page = feedback.page("<b>eve</b>", "x", [result])
    assert "<script" not in page
    assert "<img>" not in page
    assert "<b>eve" not in page


def snapshot(root):
    feedback = {p.name: p.read_text() for p in sorted((root / "feedback").rglob("*.html"))}
    return gradebook.table(root / "gradebook.db"), (root / "grades.csv").read_text(), feedback


@pytest.mark.slow(seconds=40)
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_killed_at_any_moment_and_run_again_gives_the_same_gradebook(course):
    for student in ("bomb", "exit", "html", "nested", "wrong-type", "nothing", "duplicated"):
        shutil.rmtree(course / "submitted" / student)
    command = [sys.executable, "-m", "fedcore.grading", "--root", str(course)]
    env = os.environ | {"TMPDIR": str(course)}  # one that is killed can't tidy up

    def start():
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=env
        )

    process = start()
    begun = time.perf_counter()
    process.communicate()
    lasted = time.perf_counter() - begun
    whole = snapshot(course)
    assert [row[2] for row in whole[0]] == [16, 0, 0]
    for share in (0.6, 0.85):
        for name in ("gradebook.db", "grades.csv"):
            (course / name).unlink(missing_ok=True)
        process = start()
        time.sleep(share * lasted)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        start().communicate()
        assert snapshot(course) == whole


@pytest.mark.slow(seconds=10)
def test_grading_again_replaces_and_a_changed_exercise_is_defined_anew(course):
    for path in (course / "submitted").iterdir():
        if path.name not in ("anna", "garbage"):
            shutil.rmtree(path)
    quiet = {"say": lambda text: None}
    batch.run(course, **quiet)
    shutil.copy(SECRET, course / "submitted" / "garbage" / "02_fedavg" / "02_fedavg.ipynb")
    batch.run(course, students={"garbage"}, **quiet)
    assert [row[2] for row in gradebook.table(course / "gradebook.db")] == [16, 16]
    source = course / "solutions" / "02_fedavg" / "02_fedavg.ipynb"
    source.write_text(source.read_text().replace('"points": 3', '"points": 5', 1))
    batch.run(course, **quiet)
    rows = gradebook.table(course / "gradebook.db")
    assert {row[3] for row in rows} == {18}


def test_collect_understands_both_layouts(tmp_path, course):
    inbox = tmp_path / "inbox"
    (inbox / "carl").mkdir(parents=True)
    shutil.copy(SECRET, inbox / "carl" / "02_fedavg.ipynb")
    shutil.copy(SECRET, inbox / "Zoë M_02_fedavg.ipynb")
    shutil.copy(SECRET, inbox / "notes.ipynb")
    shutil.copy(SECRET, inbox / "..___02_fedavg.ipynb")
    known = files.exercises(course / "solutions")
    copied, left = files.collect(inbox, tmp_path / "in", known)
    assert sorted(copied) == ["Zoë-M/02_fedavg", "carl/02_fedavg"]
    assert sorted(left) == ["..___02_fedavg.ipynb", "notes.ipynb"]
    assert len(files.submissions(tmp_path / "in", known)) == 2


@pytest.mark.slow(seconds=4)
def test_nothing_to_grade_is_said(tmp_path):
    command = [sys.executable, "-m", "fedcore.grading", "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no exercises in" in done.stderr


@pytest.mark.slow(seconds=20)
def test_nbgraders_own_autograde_can_not_be_patched(tmp_path):
    """`nbgrader autograde` with the course's configuration: the same engine."""
    for name in ("solutions", "nbgrader_config.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    cheat = json.loads((ROOT / "exercises" / "02_fedavg" / "02_fedavg.ipynb").read_text())
    for cell in cheat["cells"]:
        settings = cell["metadata"].get("nbgrader", {})
        if settings.get("solution"):
            cell["source"] = CHEATS["patched checker"] + "lab.grade = print\n"
        if settings.get("grade"):
            cell["source"] = "print('right')"
    texts = {"anna": SECRET.read_text(), "eve": json.dumps(cheat)}
    for student, text in texts.items():
        folder = tmp_path / "submitted" / student / "02_fedavg"
        folder.mkdir(parents=True)
        (folder / "02_fedavg.ipynb").write_text(text)
    env = os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    program = "import os, sys; os.chdir(sys.argv.pop(1)); from nbgrader.apps import NbGraderApp"
    program += "; NbGraderApp.launch_instance()"
    for command in (["generate_assignment", "--force"], ["autograde"]):
        done = subprocess.run(
            [
                *(sys.executable, "-c", program, str(tmp_path), command[0], "02_fedavg"),
                *(f"--CourseDirectory.root={tmp_path}", *command[1:]),
                "--CourseDirectory.release_directory=released",
            ],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    rows = gradebook.table(tmp_path / "gradebook.db")
    assert [(row[0], row[2]) for row in rows] == [("anna", 16), ("eve", 0)]


def test_isolation_is_measured():
    there = grading.isolation()
    assert there["own process"]
    assert there["memory and file limits"] == (os.name == "posix")


@pytest.mark.slow(seconds=5)
def test_points_changed_by_hand_outlive_grading_again(course):
    for path in (course / "submitted").iterdir():
        if path.name != "blank":
            shutil.rmtree(path)
    batch.run(course, say=lambda text: None)
    with gradebook.opened(course / "gradebook.db") as book:
        grade = book.find_grade("mean-zero", "02_fedavg", "02_fedavg", "blank")
        grade.manual_score = 1
        book.db.commit()
    batch.run(course, say=lambda text: None)
    assert gradebook.table(course / "gradebook.db") == [("blank", "02_fedavg", 1, 16)]
