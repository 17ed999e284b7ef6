"""The kernel's tests once more, on builds that catch what a fast build would not notice."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

TESTS = ["test_kernels.py", "test_aggregation.py"]
# What only concerns another process, or takes long on a build that is 20 times slower.
LEFT_OUT = "not mnist and not instruction_set and not without_the_compiled and not scikit"


def build_and_test(folder, build_env, test_env):
    """Build a copy of the package in ``folder`` and run the kernel's tests on it."""
    ignore = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "data")
    shutil.copytree(ROOT / "fedcore", folder / "fedcore", ignore=ignore)
    shutil.copytree(ROOT / "fedcore" / "data", folder / "fedcore" / "data")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, folder)
    (folder / "tests").mkdir()
    for name in ["conftest.py", "in_parallel.py", *TESTS]:
        shutil.copy(ROOT / "tests" / name, folder / "tests")
    run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], folder, build_env)
    return run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, "tests"],
        folder,
        {"PYTHONPATH": str(folder), "HYPOTHESIS_PROFILE": "few", **test_env},
    )


def run(command, folder, env):
    done = subprocess.run(
        command, cwd=folder, env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


def library(name):
    """The path of a runtime library of the C compiler; skips where there is none."""
    compiler = os.environ.get("CC", "gcc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    done = subprocess.run(
        [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    path = done.stdout.strip()
    if not os.path.isabs(path):
        pytest.skip(f"{compiler} has no {name}")
    return os.path.realpath(path)


@pytest.mark.slow(seconds=25)
def test_debug_build_with_bounds_checks(tmp_path):
    output = build_and_test(tmp_path, {"FEDCORE_DEBUG": "1"}, {})
    assert " passed" in output


@pytest.mark.slow(seconds=60)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD is Linux's")
def test_address_and_undefined_behaviour_sanitizers(tmp_path):
    preload = " ".join([library("libasan.so"), library("libubsan.so")])
    sanitizers = {
        "LD_PRELOAD": preload,
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself never frees everything
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    output = build_and_test(tmp_path, {"FEDCORE_SANITIZE": "1"}, sanitizers)
    assert " passed" in output
    assert "runtime error" not in output
