"""What a round asks of one server, when many devices report: bytes, seconds, memory, requests.

Arithmetic only. What the server can do is measured elsewhere and passed in.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedcore._validate import as_int, as_real

FLOAT32, FLOAT64 = 4, 8  # bytes of a parameter on the wire, and of a running sum


@dataclass(frozen=True)
class Server:
    """What one server can do.

    bandwidth: bytes a second, each way. aggregation: bytes of updates a second that it averages.
    memory: bytes. requests: HTTP requests a second.
    """

    bandwidth: float
    aggregation: float
    memory: float
    requests: float

    def __post_init__(self):
        for name in ("bandwidth", "aggregation", "memory", "requests"):
            as_real(name, getattr(self, name), 0, include_low=False)


@dataclass(frozen=True)
class Demand:
    """One thing that a round needs. need and have are in ``unit``."""

    need: float
    have: float
    unit: str

    @property
    def share(self) -> float:
        """How much of what is there it takes; above 1 it does not fit."""
        return self.need / self.have


def demands(
    n_devices: int,
    n_params: int,
    round_seconds: float,
    server: Server,
    requests_per_report: float = 1.0,
    streaming: bool = True,
) -> dict[str, Demand]:
    """{what: Demand} of a round in which ``n_devices`` receive a model and send one back.

    n_params: P, float32. round_seconds: how long the round may take; transfer and averaging each
    must fit into it. requests_per_report: HTTP requests that one device makes in a round.
    streaming: keep a running sum in float64 (``RunningAverage``), not every update.

    Raises TypeError or ValueError that names the argument.
    """
    n = as_int("n_devices", n_devices, minimum=1)
    model = FLOAT32 * as_int("n_params", n_params, minimum=1)
    seconds = as_real("round_seconds", round_seconds, 0, include_low=False)
    requests = as_real("requests_per_report", requests_per_report, 0, include_low=False)
    held = FLOAT64 * n_params + model if streaming else n * model
    return {
        "bytes down": Demand(n * model, server.bandwidth * seconds, "B"),
        "bytes up": Demand(n * model, server.bandwidth * seconds, "B"),
        "averaging": Demand(n * model / server.aggregation, seconds, "s"),
        "memory": Demand(held, server.memory, "B"),
        "requests": Demand(n * requests / seconds, server.requests, "1/s"),
    }


def bottleneck(found: dict[str, Demand]) -> str:
    """The name of the demand that takes the largest share of what is there."""
    return max(found, key=lambda name: found[name].share)


def most_devices(found: dict[str, Demand], n_devices: int) -> int:
    """How many devices fit, if the demands for ``n_devices`` grow in proportion to their number."""
    growing = [demand.share for name, demand in found.items() if name != "memory"]
    return int(n_devices / max(growing))
