"""Work on several cores at once, and how many there are. The kernels release Python's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def available_cores() -> int:
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
