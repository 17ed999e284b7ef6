"""Build the compiled core; everything else about the package is in pyproject.toml."""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FEDCORE_DEBUG") == "1"
SANITIZE = os.environ.get("FEDCORE_SANITIZE") == "1"


def compile_args():
    """Options for GCC and Clang; MSVC takes its own defaults. Never -march=native, see _simd.h."""
    if sys.platform == "win32":
        return ["/O2"]
    args = ["-O1", "-g", "-UNDEBUG"] if DEBUG or SANITIZE else ["-O3", "-ffp-contract=fast"]
    if SANITIZE:
        args += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    return args


directives = {
    "boundscheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": DEBUG,
}
kernels = Extension(
    "fedcore._kernels",
    ["fedcore/_kernels.pyx"],
    depends=["fedcore/_simd.h", "fedcore/_workspace.pxi", "fedcore/_steps.pxi"],
    extra_compile_args=compile_args(),
    extra_link_args=["-fsanitize=address,undefined"] if SANITIZE else [],
)
[kernels] = cythonize([kernels], compiler_directives=directives)
# Without a compiler the package installs all the same and runs on _reference. Set here, since
# cythonize drops it; a debug or sanitizer build that fails must fail.
kernels.optional = not (DEBUG or SANITIZE)
setup(ext_modules=[kernels])
