"""Every notebook: what is stored obeys the policy, and it runs offline within what it states.

The run itself is nbval's, in a process of its own: on one core, without a network but loopback.
One notebook alone: ``pytest tests/test_notebooks.py -k 02_fedavg``.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time

import psutil
import pytest
from conftest import ROOT
from in_parallel import my_core

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LESSONS = [path for path in NOTEBOOKS if re.match(r"\d\d_", path.name)]
WIDGET = "application/vnd.jupyter.widget-view+json"
MAX_LINES = 15


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])


def code_cells(path):
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def all_notebooks(function):
    return pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)(function)


def all_lessons(function):
    return pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)(function)


def test_the_lessons_are_there():
    expected = ["00_start_here", "01_model_to_data", "02_fedavg"]
    assert [path.stem for path in LESSONS][:3] == expected


# ------------------------------------------------------------------------- what is stored


@all_notebooks
def test_checked_cells_have_something_to_check_against(path):
    """nbval passes vacuously on a cell without a stored output; here that is a failure."""
    empty = [
        cell["id"]
        for cell in code_cells(path)
        if "# NBVAL_CHECK_OUTPUT" in source(cell) and not cell["outputs"]
    ]
    assert empty == []


@all_lessons
def test_a_lesson_checks_itself(path):
    checking = [
        cell["id"]
        for cell in code_cells(path)
        if "# NBVAL_CHECK_OUTPUT" in source(cell) or re.search(r"^\s*assert ", source(cell), re.M)
    ]
    assert len(checking) >= 4


@all_notebooks
def test_no_error_warning_widget_or_personal_data_is_stored(path):
    for cell in code_cells(path):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", cell["id"]
            assert output.get("name") != "stderr", cell["id"]
            assert WIDGET not in output.get("data", {}), cell["id"]
            assert not re.search(r"/home/|/root/|/Users/|/tmp/", json.dumps(output)), cell["id"]
    metadata = read(path)["metadata"]
    assert set(metadata) <= {"kernelspec", "language_info", "fedcore"}
    assert metadata["language_info"] == {"name": "python"}  # a version would differ by machine


@all_notebooks
def test_figures_are_stored_with_alternative_text(path):
    for cell in code_cells(path):
        for output in cell["outputs"]:
            if "image/png" in output.get("data", {}):
                alt = output["metadata"].get("image/png", {}).get("alt", "")
                assert len(alt) > 20, f"{cell['id']}: the figure has no alternative text"


@all_notebooks
def test_pictures_in_prose_have_alternative_text(path):
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "markdown":
            assert not re.search(r"!\[\s*\]\(", source(cell)), cell["id"]
            for tag in re.findall(r"<img[^>]*>", source(cell)):
                assert re.search(r'alt="[^"]+"', tag), cell["id"]


def headings(path):
    """(level, text) of every heading in the prose of a notebook, in order."""
    prose = [source(c) for c in read(path)["cells"] if c["cell_type"] == "markdown"]
    text = re.sub(r"^```.*?^```", "", "\n\n".join(prose), flags=re.M | re.S)
    return [(len(marks), words) for marks, words in re.findall(r"^(#+)\s+(.+)$", text, re.M)]


READ = [*NOTEBOOKS, *sorted((ROOT / "exercises").glob("*/*.ipynb"))]


@pytest.mark.parametrize("path", READ, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_headings_go_down_step_by_step(path):
    """One title, and no level left out: a screen reader's list of headings is the contents."""
    found = headings(path)
    assert [level for level, _ in found].count(1) == 1
    assert found[0][0] == 1
    deeper = [words for (a, _), (b, words) in itertools.pairwise(found) if b > a + 1]
    assert deeper == []


@all_notebooks
def test_cells_are_short(path):
    long = {
        cell["id"]: source(cell).count("\n") + 1
        for cell in code_cells(path)
        if source(cell).count("\n") + 1 > MAX_LINES
    }
    assert long == {}


@all_notebooks
def test_links_to_files_lead_somewhere(path):
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", source(cell)):
                if not re.match(r"[a-z]+:", target):
                    assert (path.parent / target).exists(), f"{cell['id']}: {target}"


@all_lessons
def test_a_lesson_has_its_parts(path):
    """Claim, what it costs, predict-then-run, panel, recap, quiz, what is next: see design."""
    cells = read(path)["cells"]
    prose = "\n".join(source(cell) for cell in cells if cell["cell_type"] == "markdown").lower()
    code = "\n".join(source(cell) for cell in cells if cell["cell_type"] == "code")
    assert "claim" in source(cells[0]).lower()
    for word in ("you will learn", "minutes", "what we saw", "evidence", "exercise", "next"):
        assert word in prose, word
    for call in ("lab.predict(", ".reveal(", f'lab.quiz("{path.stem}")'):
        assert call in code, call
    assert re.search(r"\blab\.\w*Panel\(", code), "a live panel"


WRITTEN = [
    *NOTEBOOKS,
    *sorted((ROOT / "fedcore" / "lab").rglob("*.json")),
    *sorted((ROOT / "solutions").rglob("*.[im][pd]*")),
    ROOT / "README.md",
]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_to_write(path):
    """`make new-lesson` and `make new-exercise` leave a TODO wherever somebody must write."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"line {i}: {line.strip()}" for i, line in enumerate(lines, 1) if "TODO" in line] == []


# -------------------------------------------------------------------------------- the run

OFFLINE = """
import socket
_connect = socket.socket.connect
def connect(self, address):
    host = address[0] if isinstance(address, tuple) else "localhost"
    if host not in ("localhost", "::1") and not str(host).startswith("127."):
        raise OSError(f"this notebook must run offline, but it tried to reach {host}")
    return _connect(self, address)
socket.socket.connect = connect
"""


def limits(path):
    """(seconds, megabytes) that the notebook promises in its metadata."""
    stated = read(path)["metadata"]["fedcore"]
    return stated["max_seconds"], stated["max_mb"]


def one_core():
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {my_core()})


class Watch(threading.Thread):
    """Follow a process and its children: the kernel's memory, and processor time of all."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.process, self.kernel_mb, self.cpu, self.ended = psutil.Process(pid), 0.0, {}, False

    def run(self):
        while not self.ended:
            try:
                for child in [self.process, *self.process.children(recursive=True)]:
                    times = child.cpu_times()
                    self.cpu[child.pid] = times.user + times.system
                    if "ipykernel_launcher" in child.cmdline():
                        self.kernel_mb = max(self.kernel_mb, child.memory_info().rss / 1e6)
            except psutil.Error:
                pass  # it ended between two questions
            time.sleep(0.1)


@all_notebooks
@pytest.mark.slow(seconds=60)
def test_runs_offline_within_what_it_states(path, tmp_path):
    """nbval re-runs it and compares marked outputs. Time is processor time: machines are noisy.

    A notebook that starts processes (``processes`` in its metadata) gets all cores: its budget
    counts what they use, too.
    """
    run_by_nbval(path, tmp_path, pinned=not read(path)["metadata"]["fedcore"].get("processes"))


@pytest.mark.slow
def test_lesson_7_shows_its_record_where_flower_is_not_installed(tmp_path):
    """On one core, in a minute, and with the same marked outputs as the real run."""
    (tmp_path / "flwr.py").write_text('raise ImportError("not installed, says this test")')
    (path,) = [lesson for lesson in LESSONS if lesson.stem == "07_real_federation"]
    run_by_nbval(path, tmp_path, pinned=True, max_seconds=60)


def run_by_nbval(path, folder, pinned, max_seconds=None):
    """Run ``path`` offline, what lies in ``folder`` first on the path; hold it to its limits."""
    (folder / "sitecustomize.py").write_text(OFFLINE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    seconds, megabytes = limits(path)
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-c", folder / "pytest.ini", "--nbval-lax"]
    command += ["-p", "no:cacheprovider", f"--nbval-cell-timeout={6 * seconds}", path]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=one_core if pinned and os.name == "posix" else None,
    ) as process:
        watch = Watch(process.pid)
        watch.start()
        output, _ = process.communicate(timeout=30 * seconds)
        watch.ended = True
    assert process.returncode == 0, output[-6000:]
    used = sum(watch.cpu.values())
    print(f"{path.stem}: {used:.0f} s of processor time, kernel {watch.kernel_mb:.0f} MB")
    assert watch.kernel_mb > 50, "the kernel was never seen"
    assert watch.kernel_mb <= megabytes
    assert used <= (max_seconds or seconds)


def test_offline_guard_bites(tmp_path):
    """The guard above must stop a connection, or the test proves nothing."""
    (tmp_path / "sitecustomize.py").write_text(OFFLINE)
    done = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 80), 2)"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "must run offline, but it tried to reach 192.0.2.1" in done.stderr
