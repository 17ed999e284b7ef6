"""Emulate Binder and measure the course in it: ``make binder`` (Linux; minutes).

Builds an environment from the packages of environment.yml (conda's solve needs conda: here each
package comes from PyPI under the name in PYPI), runs postBuild in a copy of the committed tree, and
then, in a namespace without a network, as user 1000, with an empty home and one core, starts the
server and has it run every notebook and an exercise: see ``binder_session.py``. Writes
benchmarks/binder.md, and fails if a notebook fails or memory passes 1 GB.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "benchmarks" / "binder.md"
PYPI = {"matplotlib-base": "matplotlib"}  # conda's name: PyPI's
NOT_PYPI = {"python", "pip"}
EXERCISE = "solutions/02_fedavg/02_fedavg.ipynb"
LARGE = 10e6  # bytes

# Every installed package above LARGE must have its reason here, or the command fails.
REASONS = {
    "scipy": "L-BFGS of the attacks, binomial bounds of the audit; dp-accounting needs it as well",
    "numpy": "all arrays",
    "matplotlib": "every figure",
    "jupyterlab": "the page that a learner works in",
    "notebook": "nbgrader requires it; Binder's own command, `jupyter notebook`, is it",
    "nbgrader": "makes exercises, validates and grades them, with a button in JupyterLab",
    "debugpy": "ipykernel requires it",
    "fonttools": "matplotlib requires it",
    "pillow": "matplotlib requires it",
    "cryptography": "key agreement of secure aggregation",
    "cython": "postBuild compiles the core with it",
    "setuptools": "postBuild compiles the core with it",
    "babel": "jupyterlab_server requires it",
    "sqlalchemy": "nbgrader's gradebook requires it",
    "jedi": "ipython requires it (completion by Tab)",
    "ipython": "the kernel",
    "pygments": "colours of code; ipython requires it",
    "rapidfuzz": "nbgrader requires it",
    "pip": "postBuild installs the course with it",
}


def conda_packages(text):
    """{name: (bound, whether under pip:)} of the dependencies in environment.yml."""
    found, by_pip = {}, False
    for line in text.split("dependencies:")[1].splitlines():
        match = re.fullmatch(r"(\s+)- ([\w.-]+?)(:|[<>=].*)?", line)
        if match and match[2] == "pip" and match[3] == ":":
            by_pip = True
        elif match:
            found[match[2]] = (match[3] or "", by_pip)
    return found


def pypi_requirements(text):
    """What pip is asked for in place of conda."""
    packages = conda_packages(text).items()
    return [PYPI.get(name, name) + bound for name, (bound, _) in packages if name not in NOT_PYPI]


def build(folder, python):
    """The environment and the course in ``folder``, as repo2docker would; returns both paths."""
    env, course = folder / "env", folder / "course"
    subprocess.run([python, "-m", "venv", env], check=True)
    wanted = pypi_requirements((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, uv = env / "bin" / "python", shutil.which("uv")
    pip = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    subprocess.run([*pip, "--quiet", *wanted], check=True)
    course.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", course], input=archive.stdout, check=True)
    subprocess.run(["./postBuild"], cwd=course, env=clean(folder), check=True)
    return env, course


def clean(folder):
    """The environment variables of a new machine, with an empty home."""
    home = Path(tempfile.mkdtemp(dir=folder, prefix="home-"))
    return {"PATH": f"{folder / 'env' / 'bin'}:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}


def measure(folder, env, course, notebooks):
    """Run ``notebooks`` through a server in the sandbox; returns what binder_session.py found."""
    result = folder / "result.json"
    session = Path(__file__).with_name("binder_session.py")
    command = ["unshare", "--user", "--map-root-user", "--net", env / "bin" / "python", session]
    environment = clean(folder) | {"FEDCORE_BINDER_RESULT": str(result)}
    subprocess.run([*command, *notebooks], cwd=course, env=environment, check=True)
    return json.loads(result.read_text(encoding="utf-8"))


def sizes(env):
    """{name: (bytes, bytes of its test folders)} of every installed package."""
    program = (
        "import json, importlib.metadata as m\n"
        "def size(f): p = f.locate(); return p.stat().st_size if p.is_file() else 0\n"
        "def is_test(f): return bool({'tests', 'test'} & set(f.parts))\n"
        "all = {d.name: d.files or [] for d in m.distributions()}\n"
        "print(json.dumps({n: [sum(map(size, f)), sum(size(x) for x in f if is_test(x))]"
        " for n, f in all.items()}))"
    )
    done = subprocess.run(
        [env / "bin" / "python", "-c", program], capture_output=True, text=True, check=True
    )
    return {
        name.lower().replace("_", "-"): tuple(size)
        for name, size in json.loads(done.stdout).items()
    }


def size_rows(found):
    """The rows of the table of large packages. SystemExit names those that have no reason."""
    large = sorted(((b, n) for n, (b, _) in found.items() if b > LARGE), reverse=True)
    unexplained = [name for _, name in large if name not in REASONS]
    if unexplained:
        sys.exit(f"over {LARGE / 1e6:.0f} MB without a reason in REASONS: {', '.join(unexplained)}")
    return [
        f"| {name} | {size / 1e6:.0f} | {found[name][1] / 1e6:.0f} | {REASONS[name]} |"
        for size, name in large
    ]


def report(found, packages):
    """benchmarks/binder.md as text."""
    start, runs = found["start"], found["notebooks"]
    total = sum(size for size, _ in packages.values()) / 1e6
    left = sorted({*all_notebooks()} - {run["notebook"] for run in runs})
    missing = f"\nNot measured in this run: {', '.join(left)}.\n" if left else ""
    rows = [
        f"| {run['notebook']} | {run['seconds']:.0f} | {run['server']:.0f} | {run['rest']:.0f} "
        f"| **{run['total']:.0f}** | {run['bound']:.0f} |"
        for run in runs
    ]
    return f"""# The course on Binder's terms

Written by `make binder`; not edited by hand. Python {found["python"]}, {found["machine"]},
one core, no network but loopback, user {found["user"]} of a namespace of its own, an empty home.
Packages from PyPI under conda's bounds: conda's own solve was not run, and no image was built.

## Start

From the start of the server until it serves the page of lesson 0: {start["page"]:.1f} s; until its
kernel is connected: {start["kernel"]:.1f} s; until its first cell has run: {start["cell"]:.1f} s.
The server alone then takes {found["idle"]:.0f} MB. These are wall times of one start; what else the
machine did meanwhile is in them.

## Memory

In MB (10⁶ bytes), the largest sum of PSS (each process's share of memory, smaps_rollup) over the
server, the kernel and what they start, asked for {found["per_second"]} times a second; the command
fails above {found["limit"]:.0f} MB, which is what Binder guarantees. *Bound* is the sum of every
process's own largest RSS, which the system records: it counts shared memory twice, and misses no
peak between two questions. Seconds are wall time too.

| notebook | seconds | server | kernel and others | together | bound |
|---|---:|---:|---:|---:|---:|
{chr(10).join(rows)}
{missing}
## Packages

{len(packages)} packages, {total:.0f} MB. Those over {LARGE / 1e6:.0f} MB, test folders included:

| package | MB | of which tests | why it is there |
|---|---:|---:|---|
{chr(10).join(size_rows(packages))}
"""


def all_notebooks():
    lessons = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return [str(path.relative_to(ROOT)) for path in lessons] + [EXERCISE]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="these alone, and no report")
    parser.add_argument("--python", default=sys.executable, help="Python of the environment")
    parser.add_argument("--folder", type=Path, help="keep the environment here, and use it again")
    chosen = parser.parse_args()
    if not shutil.which("unshare"):
        sys.exit("make binder needs Linux and the program unshare (util-linux)")
    folder = (chosen.folder or Path(tempfile.mkdtemp(prefix="binder-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        env, course = folder / "env", folder / "course"
        if not course.exists():
            env, course = build(folder, chosen.python)
        found = measure(folder, env, course, chosen.notebooks or all_notebooks())
        text = report(found, sizes(env))
    finally:
        if not chosen.folder:
            shutil.rmtree(folder, ignore_errors=True)
    print(text)
    if not chosen.notebooks:
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
