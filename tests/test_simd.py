"""The header's loops against plain C in double, with the compilers and processors at hand.

Skips, by name, what this machine has not got. The Arm build (NEON, by the same source) is made by
a cross compiler and run by an emulator, where both are installed.
"""

import platform
import shutil
import subprocess

import pytest
from conftest import ROOT

FLAGS = ["-O3", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
LEVELS = ["baseline", "avx2", "avx512"]
X86 = platform.machine() in ("x86_64", "AMD64")


def build(compiler, folder, *flags):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    program = folder / "simd_check"
    source = ROOT / "tests" / "simd_check.c"
    command = [compiler, *FLAGS, *flags, f"-I{ROOT / 'fedcore'}", source, "-o", program, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def check(command, level):
    done = subprocess.run([*command, level], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip(f"this processor has no {level}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{level}: largest error")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_loops(compiler, tmp_path):
    program = build(compiler, tmp_path)
    for level in LEVELS if X86 else LEVELS[:1]:
        check([program], level)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_plain_c_for_other_compilers(compiler, tmp_path):
    """What MSVC compiles: no vectors, no attributes, no pragmas of others."""
    check([build(compiler, tmp_path, "-DFEDCORE_PLAIN_C", "-std=c11")], "baseline")


def test_arm(tmp_path):
    program = build("aarch64-linux-gnu-gcc", tmp_path, "-static")
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("no qemu-aarch64 to run what was built")
    check([emulator, program], "baseline")
