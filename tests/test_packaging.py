"""What a fresh machine depends on: the two lists of packages, the wheel, the set-up script."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

CONDA_NAMES = {"matplotlib-base": "matplotlib"}
ONLY_CONDA = {"python", "pip"}


def toml_list(text, key):
    """The strings of ``key = [...]`` in pyproject.toml (tomllib only exists from Python 3.11)."""
    found = re.search(rf"^{key} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert found, f"no list {key} in pyproject.toml"
    return re.findall(r'"([^"]+)"', found.group(1))


def requirements(lines):
    """{name: version bound} from lines such as ``numpy>=1.26``."""
    pairs = [re.fullmatch(r"([\w.-]+?)([<>=].*)?", line).groups() for line in lines]
    return {name: bound or "" for name, bound in pairs}


def test_environment_yml_has_the_packages_of_pyproject():
    pyproject = (ROOT / "pyproject.toml").read_text()
    wanted = {}
    for key in ("requires", "dependencies", "course"):
        wanted |= requirements(toml_list(pyproject, key))
    text = (ROOT / "environment.yml").read_text().split("dependencies:")[1]
    listed = re.findall(r"^\s+- (\S+)$", text, re.MULTILINE)
    conda = requirements(line for line in listed if line != "pip:")  # pip's list stands below it
    conda = {CONDA_NAMES.get(name, name): bound for name, bound in conda.items()}
    assert {n: b for n, b in conda.items() if n not in ONLY_CONDA} == wanted


def test_test_extra_repeats_what_the_build_needs():
    """Some tests build without isolation, so the build requirements must be installed."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert set(toml_list(pyproject, "requires")) <= set(toml_list(pyproject, "test"))


def test_version_stands_once_and_agrees():
    import fedcore

    pyproject = (ROOT / "pyproject.toml").read_text()
    assert f'\nversion = "{fedcore.__version__}"\n' in pyproject


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """(wheel, sdist), the wheel built from the sdist as pip would: nothing else is at hand."""
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def test_wheel_runs_from_an_empty_folder(distributions, tmp_path):
    wheel, _ = distributions
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert any(re.match(r"fedcore/_kernels\..*\.(so|pyd)", name) for name in names)
    assert "fedcore/data/train-images-idx3-ubyte.gz" in names
    assert any(name.startswith("fedcore/lab/static/") for name in names)
    assert {"fedcore/flower_app/pyproject.toml", "fedcore/flower_app/mnist_federation.py"} <= {
        *names
    }
    assert not any(name.startswith("tests") or name.endswith(".c") for name in names)
    program = (
        "import fedcore as fc; train, test = fc.datasets.load_mnist(); "
        "print(fc.__file__, fc.info()['compiled'], len(train), len(test))"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program]
        if sys.version_info >= (3, 11)
        else [sys.executable, "-c", program],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    file, *rest = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert rest == ["True", "60000", "10000"]


def test_sdist_holds_sources_and_licences(distributions):
    with tarfile.open(distributions[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    needed = {"setup.py", "pyproject.toml", "LICENSE", "LICENSE-TEXT", "fedcore/_kernels.pyx"}
    needed |= {"fedcore/_simd.h", "fedcore/_workspace.pxi", "fedcore/_steps.pxi"}
    assert needed | {"fedcore/data/README.md"} <= names
    assert "fedcore/_kernels.c" not in names


def test_without_a_compiler_the_package_still_builds(tmp_path):
    """An editable build with a compiler that always fails: no core, no error."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, tmp_path)
    ignore = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "*.gz")
    shutil.copytree(ROOT / "fedcore", tmp_path / "fedcore", ignore=ignore)
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=tmp_path,
        env=os.environ | {"CC": "/bin/false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list((tmp_path / "fedcore").glob("*.so"))
    program = (  # an editable install of the course itself would lend its compiled module
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in repr(f)]\n"
        "import fedcore; print(fedcore.__file__, fedcore.info()['compiled'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "fedcore" / "__init__.py"), "False"]
    assert done.stderr.count("runs without its compiled core") == 1


def run_setup_script(tmp_path, program, **env):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r})\n{program}",
        ],
        cwd=tmp_path,
        env={"PATH": "", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_old_python_is_told_plainly(tmp_path):
    done = run_setup_script(
        tmp_path, "sys.version_info = (3, 8, 2)\nimport environment\nenvironment.check_python()"
    )
    assert done.returncode == 1
    assert "needs Python 3.10 or newer" in done.stderr
    assert "is Python 3.8.2" in done.stderr
    assert "make lab PYTHON=" in done.stderr


def test_set_up_script_parses_on_old_pythons():
    """It must be able to complain: no syntax newer than Python 3.4."""
    import ast

    ast.parse((ROOT / "tools" / "environment.py").read_text(), feature_version=(3, 7))


def test_missing_compiler_is_told_plainly(tmp_path):
    done = run_setup_script(tmp_path, "import environment\nenvironment.check_compiler()")
    assert done.returncode == 0
    assert "No C compiler found" in done.stdout
    assert "apt install build-essential" in done.stdout


def test_present_compiler_is_not_mentioned(tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    done = run_setup_script(
        tmp_path,
        f"import os; os.environ['PATH'] = {str(tmp_path)!r}\n"
        "import environment\nenvironment.check_compiler()",
    )
    assert done.stdout == ""


def test_make_alone_prints_help():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("make lab", "make test", "make bench"):
        assert target in done.stdout


def test_make_lab_serves_the_whole_course_and_opens_the_first_lesson():
    """From notebooks/ alone, the lessons' links to exercises/ would lead nowhere."""
    shown = subprocess.run(
        ["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in (shown, readme):
        assert "jupyter lab --ServerApp.root_dir=. " in command
        page = re.search(r"--LabApp.default_url=/lab/tree/(\S+)", command).group(1)
        assert (ROOT / page).is_file()


def test_make_names_a_python_that_is_not_there(tmp_path):
    done = subprocess.run(
        ["make", "lab", "PYTHON=nopython", f"VENV={tmp_path / 'none'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "There is no nopython here. Install Python 3.10 or newer" in done.stdout


@pytest.mark.parametrize("compiled", [True, False])
def test_a_core_that_could_not_be_built_is_told_plainly(tmp_path, compiled):
    """A compiler without Python's headers: the installation goes on, and must not be silent."""
    (tmp_path / "fedcore.py").write_text(f"info = lambda: {{'compiled': {compiled}}}")
    python, path = repr(sys.executable), str(tmp_path)
    done = run_setup_script(
        tmp_path, f"import environment\nenvironment.check_core({python})", PYTHONPATH=path
    )
    assert done.returncode == 0, done.stderr
    assert ("The compiled core could not be built" in done.stdout) is not compiled
    assert ("python3-dev" in done.stdout) is not compiled


def test_ci_calls_the_command_of_the_readme():
    assert "make test" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").read_text().strip().endswith("make test")


def test_repository_is_small_and_free_of_build_products():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    present = [file for file in files if file.exists()]
    assert sum(file.stat().st_size for file in present) < 40e6
    present.remove(ROOT / "tests" / "simd_check.c")  # written by hand
    endings = (".so", ".c", ".pyc", ".pyd", ".egg-info")
    assert [file.name for file in present if file.name.endswith(endings)] == []


def test_without_flower_the_error_says_what_to_install():
    program = "import sys; sys.modules['flwr'] = None; import fedcore.flower"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "fedcore.flower needs Flower" in done.stderr
    assert "[flower]" in done.stderr


@pytest.mark.skipif("CI" not in os.environ, reason="a developer may do without Flower")
def test_nothing_is_skipped_in_ci_for_want_of_flower():
    """Its own tests are skipped without it; so is the real run of lesson 7."""
    if sys.version_info >= (3, 11):
        assert importlib.util.find_spec("flwr") is not None


@pytest.mark.skipif(not importlib.util.find_spec("flwr"), reason="Flower is not installed")
def test_course_and_flower_fit_each_other():
    """What `pip check` says of Flower and of all that it needs, and they need."""
    todo, wrong, seen = {"flwr"}, [], set()
    while todo:
        seen.add(name := todo.pop())
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            there = metadata.version(requirement.name)
            if not requirement.specifier.contains(there, prereleases=True):
                wrong.append(f"{name} needs {requirement}, and {there} is installed")
            todo |= {requirement.name} - seen
    assert wrong == []
