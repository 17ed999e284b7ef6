"""Choose the compiled kernels, or their NumPy twin where they could not be built."""

from __future__ import annotations

import importlib
import os
import warnings

COMPILED = False
if os.environ.get("FEDCORE_PURE") == "1":  # for tests and timing of the twin
    from fedcore import _reference as kernels
else:
    try:
        kernels = importlib.import_module("fedcore._kernels")
        COMPILED = True
    except ModuleNotFoundError:
        from fedcore import _reference as kernels

        warnings.warn(
            "fedcore runs without its compiled core: every result is the same, but training is "
            "several times slower. Install a C compiler and then `make clean` and `make lab`.",
            RuntimeWarning,
            stacklevel=3,
        )

__all__ = ["COMPILED", "kernels"]
