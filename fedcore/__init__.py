"""fedcore: federated learning to learn from. Real data, real training, a compiled core.

The names below are the public interface; ``import fedcore as fc`` is how the lessons begin.
"""

from __future__ import annotations

import importlib

from fedcore import (
    accounting,
    aggregation,
    attacks,
    audit,
    compression,
    datasets,
    devices,
    features,
    models,
    partition,
    privacy,
    robust,
    skew,
    strategies,
    training,
    user_level,
)
from fedcore._core import COMPILED, kernels
from fedcore.aggregation import RunningAverage, weighted_average
from fedcore.fedbuff import FedBuff
from fedcore.federation import FederationDiverged, LocalSGD, federated_rounds, run_federation
from fedcore.history import History, RoundRecord
from fedcore.round_plan import RoundPlan
from fedcore.training import (
    DivergedError,
    available_cores,
    clipped_gradient_sum,
    local_sgd,
    local_sgd_many,
)

__version__ = "0.1.0"

__all__ = [
    "DivergedError",
    "FedBuff",
    "FederationDiverged",
    "History",
    "LocalSGD",
    "RoundPlan",
    "RoundRecord",
    "RunningAverage",
    "accounting",
    "aggregation",
    "attacks",
    "audit",
    "clipped_gradient_sum",
    "compression",
    "datasets",
    "devices",
    "features",
    "federated_rounds",
    "info",
    "lab",
    "local_sgd",
    "local_sgd_many",
    "models",
    "partition",
    "plots",
    "privacy",
    "robust",
    "run_federation",
    "secagg",
    "skew",
    "strategies",
    "training",
    "user_level",
    "weighted_average",
]

# They import ipywidgets, matplotlib and cryptography: only when they are used.
_ON_DEMAND = ("lab", "plots", "secagg")


def __getattr__(name: str):
    if name in _ON_DEMAND:
        return importlib.import_module(f"fedcore.{name}")
    raise AttributeError(f"module 'fedcore' has no attribute {name!r}")


def info() -> dict[str, object]:
    """What this installation is: version, compiled (bool), simd (level in use), cores (usable)."""
    return {
        "version": __version__,
        "compiled": COMPILED,
        "simd": kernels.SIMD,
        "cores": available_cores(),
    }
