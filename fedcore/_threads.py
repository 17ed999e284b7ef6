"""Work on several cores at once, and how many there are. The kernels release Python's lock."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # where a container on Linux finds its own limits


def available_cores() -> int:
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota()))


@cache
def _quota() -> int | float:
    """Cores whose time the container may use, rounded up; infinity without a limit.

    A container with such a limit, as on Binder, still sees every core of its machine: with a thread
    for each, all of them would stand still as soon as they had used up their time together.
    """
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):  # cgroups 2, 1
        try:
            quota, period = " ".join((CGROUP / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota.isdecimal():  # not "max", not -1
            return math.ceil(int(quota) / int(period))
    return math.inf


def for_each(work: Callable[[int], None], n: int, threads: int) -> None:
    """work(0) to work(n - 1), ``threads`` of them at a time; the caller's own is one of them.

    After an error or Ctrl-C nothing more begins; the error of the lowest number is raised.

    Each thread takes the next number when it is free. A future for each would cost a small model
    a tenth of its time: whoever waits for it must be woken, and needs Python's lock meanwhile.
    """
    waiting, errors, threads = deque(range(n)), {}, min(threads, n)

    def take_turns() -> None:
        while True:
            try:
                k = waiting.popleft()
            except IndexError:
                return
            try:
                work(k)
            except BaseException as error:  # raised below, by the caller
                errors[k] = error
                waiting.clear()

    if threads <= 1:
        take_turns()
    else:
        with ThreadPoolExecutor(threads - 1) as pool:
            try:
                for _ in range(threads - 1):
                    pool.submit(take_turns)
                take_turns()
            finally:  # Ctrl-C between two turns, too
                waiting.clear()
    if errors:
        raise errors[min(errors)]
