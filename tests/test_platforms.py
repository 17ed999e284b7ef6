"""The learner's path uses nothing that only Unix has, or does without it. Simulated, on Linux."""

import ast
import json
import os
import subprocess
import sys
import types

import pytest
from conftest import ROOT

from fedcore import _threads, available_cores
from fedcore.grading import process, sandbox
from fedcore.grading.process import Answer, AnswerFailed, Limits

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UNIX_MODULES = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"}
UNIX_NAMES = {"fork", "forkpty", "killpg", "getuid", "geteuid", "setsid", "sched_getaffinity"}
UNIX_NAMES |= {"sched_setaffinity", "SIGKILL", "SIGALRM", "alarm", "getpgid", "uname", "sysconf"}
UNIX_NAMES |= {"O_PATH", "nice", "wait3", "wait4", "getloadavg", "mkfifo", "chown"}
GUARDED_BY_THEIR_CALLERS = {
    "fedcore/grading/sandbox.py": ["os.O_PATH"],  # _allow: only after restrict_files found Linux
    "fedcore/grading/worker.py": ["os.sched_getaffinity"],  # _present_core: after hasattr
}
QUESTIONS = ("hasattr", "os.name", "sys.platform")


def sources():
    """{where: Python source} of all that a learner runs."""
    found = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in ("fedcore", "tools")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "binder_session.py"  # make binder is for Linux, and says so
    }
    for folder in ("notebooks", "exercises"):
        for path in sorted((ROOT / folder).rglob("*.ipynb")):
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                if cell["cell_type"] == "code":
                    found[f"{path.stem}, cell {cell['id']}"] = "".join(cell["source"])
    return found


def unix(node):
    """The Unix-only names that ``node`` itself uses."""
    if isinstance(node, ast.Import):
        return [a.name for a in node.names if a.name.split(".")[0] in UNIX_MODULES]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.module in UNIX_MODULES else []
    if isinstance(node, ast.Attribute):
        name = ast.unparse(node)
        return [name] if node.attr in UNIX_NAMES and name.startswith(("os.", "signal.")) else []
    if isinstance(node, ast.keyword):
        return [node.arg] if node.arg == "preexec_fn" else []
    text = node.value if isinstance(node, ast.Constant) else ""
    return [text] if isinstance(text, str) and text.startswith("/tmp") else []


def guards(node):
    """Whether ``node`` asks for the platform, or is ready to fail, before what stands in it."""
    if isinstance(node, ast.FunctionDef):  # "if not on Linux: return" guards what follows
        return any(guards(part) for part in node.body if isinstance(part, ast.If))
    if isinstance(node, ast.If | ast.IfExp):
        return any(question in ast.unparse(node.test) for question in QUESTIONS)
    return isinstance(node, ast.Try)


def unguarded(source):
    """Unix-only names in ``source`` outside every try, and every ``if`` that asks for them."""
    found, waiting = [], [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if not guards(node):
            found += unix(node)
            waiting += ast.iter_child_nodes(node)
    return found


def test_no_unguarded_unix_in_what_a_learner_runs():
    found = {}
    for where, source in sources().items():
        names = unguarded(source)
        if names:
            found[where] = names
    assert found == GUARDED_BY_THEIR_CALLERS


@pytest.mark.parametrize(
    "source",
    [
        "import resource",
        "from fcntl import flock",
        "import os\nos.fork()",
        "import signal\nsignal.alarm(3)",
        "import os\nn = len(os.sched_getaffinity(0))",
        "p = Popen(['x'], preexec_fn=f)",
        "path = '/tmp/x'",
    ],
)
def test_the_search_finds(source):
    assert len(unguarded(source)) == 1
    assert unguarded(f"import os\nif os.name == 'posix':\n{indented(source)}") == []


def indented(source):
    return "\n".join("    " + line for line in source.splitlines())


# What Windows lacks, taken away before the worker is run as a script, as the parent starts it.
BARE_WORKER = """
import json, os, runpy, signal, sys
sys.path[:] = [{root!r}, *json.loads(sys.argv[1])["path"]]
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for module in (os, signal):
    for name in {names!r}:
        if hasattr(module, name):
            delattr(module, name)
import fedcore.grading.sandbox
fedcore.grading.sandbox.restrict_files = lambda read, scratch: False
runpy.run_path({worker!r}, run_name="__main__")
"""
NEEDED_BY_PYTHON = {"uname", "sysconf"}  # Linux's own platform and multiprocessing modules


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Grading without resource, signals, affinity, Landlock and namespaces."""
    worker = tmp_path / "course" / "fedcore" / "worker.py"
    worker.parent.mkdir(parents=True)
    names = sorted(UNIX_NAMES - NEEDED_BY_PYTHON)
    program = BARE_WORKER.format(root=str(ROOT), names=names, worker=str(process._WORKER))
    worker.write_text(program)
    places = sandbox.readable(str(ROOT / "fedcore"))
    monkeypatch.setattr(process, "_WORKER", worker)
    monkeypatch.setattr(sandbox, "readable", lambda _: places)
    monkeypatch.setattr(process, "namespaces", lambda: ())
    monkeypatch.delattr(os, "killpg")
    monkeypatch.setattr(process, "signal", types.SimpleNamespace())


@pytest.mark.usefixtures("bare")
def test_grading_does_without_unix():
    with Answer(
        ["import numpy as np", "def double(x):\n    return 2 * np.asarray(x)"], "double"
    ) as f:
        assert list(f([1.0, 2.5])) == [2, 5]
        assert f.in_force == {"limits": False, "files": False}


@pytest.mark.usefixtures("bare")
def test_the_audit_hook_still_closes_files():
    cells = ["def peek():\n    return open('/etc/passwd').read()"]
    with Answer(cells, "peek") as answer, pytest.raises(AnswerFailed, match="own folder"):
        answer()


@pytest.mark.usefixtures("bare")
def test_an_endless_answer_is_still_stopped():
    limits = Limits(wall_seconds=6)
    with Answer(["def turn():\n    while True:\n        pass"], "turn", limits) as answer:
        with pytest.raises(AnswerFailed) as failed:
            answer()
        assert failed.value.kind == "time"
        assert answer._process is None


@pytest.fixture
def limits(monkeypatch, tmp_path):
    """A folder for the limits of a container on a machine of six cores, none yet."""
    monkeypatch.setattr(_threads, "CGROUP", tmp_path)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    _threads._quota.cache_clear()
    yield tmp_path
    _threads._quota.cache_clear()


def test_cores_are_counted_without_affinity(monkeypatch, limits):
    assert available_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, 6),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "900000 100000\n"}, 6),
        ({"cpu.max": ""}, 6),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 6),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, 6),
    ],
)
def test_a_container_s_limit_is_kept(limits, files, cores):
    for name, text in files.items():
        (limits / name).parent.mkdir(exist_ok=True)
        (limits / name).write_text(text)
    assert available_cores() == cores


@pytest.mark.parametrize("value", [r"C:\Users\ada\new.pem", 'a "b"', "Zoë", 3, 0.5, True])
def test_flower_is_told_what_is_meant(value):
    """Flower reads settings and paths as TOML, in which a backslash means something."""
    from fedcore.flower_processes import toml

    assert tomllib.loads(f"key = {toml(value)}") == {"key": value}


def test_set_up_knows_where_windows_puts_programs():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import environment
    finally:
        sys.path.pop(0)
    assert environment.program("v", "python", windows=True) == os.path.join(
        "v", "Scripts", "python.exe"
    )
    assert environment.program("v", "python", windows=False) == os.path.join("v", "bin", "python")


def test_text_files_are_read_as_utf8_whatever_the_locale():
    """Windows' locale is not UTF-8: an open() that leaves it out would raise a warning here."""
    program = (
        "import warnings; warnings.filterwarnings('error', category=EncodingWarning, "
        "module=r'fedcore\\b'); import fedcore.lab as lab; lab.quiz('00_start_here'); "
        "print(len(repr(lab.glossary('epsilon'))))"
    )
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100
