"""Timing in turns: every peer once, then every peer again, so that a slow minute slows them all.

pyperf and pytest-benchmark time one function after the other. On a machine that is not quiet their
ratios then compare two moments as much as two programs. So the turns are taken here; pyperf keeps
the values, works out the statistics, describes the machine, and writes the file that its own
commands read (``python -m pyperf stats benchmarks/results.json``).
"""

from __future__ import annotations

import gc
import math
import platform
import statistics
import time
from collections.abc import Callable

import pyperf

Job = Callable[[], object]


def measure(jobs: dict[str, Job], rounds: int, turn: float = 0.05) -> dict[str, dict]:
    """{name: {"cpu", "wall": median seconds of a call, "values", "loops"}}, of jobs in turns.

    In its turn a job is called as often as takes ``turn`` seconds, at least once, as pyperf does
    too: one call of a millisecond would mostly measure how its data comes back into the cache after
    the job before. Two calls that are not counted say how often that is. CPU time is that of the
    whole process, all threads.
    """
    loops = {name: _loops(job, turn) for name, job in jobs.items()}
    times = {name: {"cpu": [], "wall": []} for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(loops[name]):
                job()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            times[name]["cpu"].append(cpu / loops[name])
            times[name]["wall"].append(wall / loops[name])
    return {
        name: {clock: statistics.median(values) for clock, values in clocks.items()}
        | {"values": clocks["cpu"], "loops": loops[name]}
        for name, clocks in times.items()
    }


def _loops(job: Job, turn: float) -> int:
    job()
    begin = time.perf_counter()
    job()
    return max(1, math.ceil(turn / (time.perf_counter() - begin)))


def as_suite(cases: dict[str, dict[str, dict]]) -> pyperf.BenchmarkSuite:
    """All measurements as a pyperf suite; its metadata is the description of the machine."""
    benchmarks = [
        pyperf.Benchmark(
            [
                pyperf.Run(
                    [max(value, 1e-9) for value in result["values"]],
                    metadata={"name": f"{case}: {name}", "loops": result["loops"]},
                    collect_metadata=False,  # no paths of the machine in the repository
                )
            ]
        )
        for case, results in cases.items()
        for name, result in results.items()
    ]
    return pyperf.BenchmarkSuite(benchmarks)


def machine() -> dict[str, str]:
    """Processor, cores, load and Python, as pyperf reads them from the system."""
    metadata = pyperf.Run([1.0], metadata={"name": "machine"}, collect_metadata=True).get_metadata()
    wanted = ("cpu_model_name", "cpu_count", "load_avg_1min", "python_version")
    system = {"system": f"{platform.system()} {platform.machine()}"}
    return {name: str(metadata[name]) for name in wanted if name in metadata} | system
