"""Other machines: Binder (what repo2docker takes, a lesson in the sandbox), dev containers."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import binder
import binder_session

sys.path.pop(0)

ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def dockerfile():
    """What repo2docker would build, and its log. Works without Docker."""
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "--user-id", "1000"]
    done = subprocess.run(
        [*command, "--user-name", "jovyan", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_repo2docker_takes_our_two_files(dockerfile):
    python = re.search(r"- python=(\S+)", ENVIRONMENT).group(1)
    assert f"Building conda environment for python={python}" in dockerfile
    assert "COPY --chown=1000:1000 src/environment.yml ${REPO_DIR}/environment.yml" in dockerfile
    assert 'env update -p ${NB_PYTHON_PREFIX} --file "environment.yml"' in dockerfile
    assert re.search(r"^RUN ./postBuild$", dockerfile, re.MULTILINE)


def test_repo2docker_takes_nothing_else(dockerfile):
    """A folder binder/, a requirements.txt or a Dockerfile would take their place, or add."""
    assert not [name for name in ("binder", ".binder", "Dockerfile") if (ROOT / name).exists()]
    others = ("apt.txt", "requirements.txt", "Pipfile", "runtime.txt", "start")
    assert not [name for name in others if (ROOT / name).exists()]
    assert "pip install --no-cache-dir -r" not in dockerfile


def test_the_image_has_a_compiler(dockerfile):
    """environment.yml has none: buildpack-deps, in full, is the one with gcc."""
    assert re.search(r"^FROM \S*buildpack-deps:[\d.]+$", dockerfile, re.MULTILINE)


def test_post_build_can_be_executed():
    listed = subprocess.run(
        ["git", "ls-files", "-s", "postBuild"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert listed.stdout.startswith("100755")


def test_the_badge_opens_the_first_lesson_in_jupyterlab():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(
        r"https://mybinder\.org/v2/gh/[^/\s]+/[^/\s]+/HEAD\?urlpath=(\S+?)\)", readme
    )
    assert links == ["lab/tree/notebooks/00_start_here.ipynb"]
    assert (ROOT / links[0].removeprefix("lab/tree/")).is_file()


def test_the_devcontainer_calls_what_exists():
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    container = json.loads(text)
    assert re.fullmatch(r"\S+/devcontainers/python:3\.\d+-\w+", container["image"])
    for key in ("postCreateCommand", "postAttachCommand"):
        make, *arguments = shlex.split(container[key])
        assert make == "make"
        shown = subprocess.run(
            [make, "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert shown.returncode == 0, shown.stderr
    assert f"--port={container['forwardPorts'][0]}" in container["postAttachCommand"]


def test_every_conda_package_is_looked_for_on_pypi():
    found = binder.conda_packages(ENVIRONMENT)
    assert found["matplotlib-base"][1] is False
    assert found["dp-accounting"] == (">=0.6", True)
    wanted = binder.pypi_requirements(ENVIRONMENT)
    assert "matplotlib" + found["matplotlib-base"][0] in wanted
    assert not any(line.startswith(("python", "pip", "matplotlib-base")) for line in wanted)
    assert len(wanted) == len(found) - 2


def test_a_large_package_without_a_reason_is_named():
    with pytest.raises(SystemExit, match="gigantic"):
        binder.size_rows({"gigantic": (2e8, 0), "numpy": (3e7, 1e6)})
    assert binder.size_rows({"numpy": (3e7, 1e6), "six": (1e4, 0)}) == [
        f"| numpy | 30 | 1 | {binder.REASONS['numpy']} |"
    ]


def test_messages_with_buffers_are_read():
    body, buffers = b'{"channel": "iopub"}', [b"\x00\x01", b"xyz"]
    parts, offsets, at = [body, *buffers], [], 4 * 4
    for part in parts:
        offsets.append(at)
        at += len(part)
    frame = b"".join(n.to_bytes(4, "big") for n in (3, *offsets)) + b"".join(parts)
    assert binder_session.decode(frame) == {"channel": "iopub"}
    assert binder_session.decode('{"channel": "shell"}') == {"channel": "shell"}


def test_memory_is_that_of_the_whole_tree():
    """A child of a child that holds 60 MB: it is found, and counted."""
    hold = "x = bytearray(60_000_000); print(1, flush=True); input()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        memory = binder_session.Memory(process.pid)
        memory.ask()
        process.communicate("\n", timeout=60)
    total, own = memory.peak
    assert len(memory.largest) == 2
    assert total - own > 60
    assert own < 60 < sum(memory.largest.values())


@pytest.mark.slow
def test_a_lesson_runs_in_the_sandbox(tmp_path, monkeypatch):
    """Lesson 0, one core, no network, no home: with this environment in place of Binder's."""
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        pytest.skip("needs Linux and unshare")
    monkeypatch.setattr(binder, "clean", clean_but_this_python)
    env = Path(sys.prefix)
    course = tmp_path / "course"
    shutil.copytree(ROOT / "notebooks", course / "notebooks")
    found = binder.measure(tmp_path, env, course, ["notebooks/00_start_here.ipynb"])
    assert found["user"] == 1000
    (run,) = found["notebooks"]
    assert 100 < run["total"] < found["limit"]
    assert run["total"] < 1.05 * run["bound"]
    assert 0 < found["start"]["page"] < found["start"]["kernel"] < found["start"]["cell"]


def clean_but_this_python(folder):
    home = folder / "home"
    home.mkdir()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"}
