"""Several tests at a time: ``pytest -n auto --dist loadgroup``, which is what ``make test`` calls.

The unit that a worker takes is a whole file, so that what its tests share is made once, or else one
``slow`` test, or else a group that says so itself (``xdist_group``). The long units come first:
whoever is done with them takes the short ones, and all workers end at about the same time.
"""

import os

import psutil
import pytest

from fedcore import available_cores

MEMORY = 1.6e9  # bytes of a worker: MNIST and what tests make of it, and a notebook's kernel
MOST = 8  # workers: the longest units would not be done sooner by more
WAITING = 1  # worker more than cores, as some wait: without it `make check` took 1.2 times as long
USUAL = 0.2  # seconds of a test that is not slow


# Whoever multiplies matrices on all cores waits busily for its own threads: where others hold the
# cores, lesson 5 took twice the processor time.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def pytest_configure(config):
    """Before the workers are started: they, and the kernels that they start, inherit it."""
    if getattr(config.option, "numprocesses", None):
        os.environ.update(ONE_THREAD)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist may be switched off
def pytest_xdist_auto_num_workers(config):
    """``-n auto``: a worker for each core and one more, if there is memory for so many."""
    room = int(psutil.virtual_memory().available // MEMORY)
    return max(1, min(MOST, room, available_cores() + WAITING))


def cores():
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def my_core():
    """A core for what must run on one; the workers are spread over them."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return cores()[int(worker.removeprefix("gw")) % len(cores())]


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config, items):
    if not getattr(config.option, "loadgroup", False):  # not in a worker: the order of the files
        return (yield)
    expected = {}
    for item in items:
        unit = unit_of(item)
        expected[unit] = expected.get(unit, 0) + seconds_of(item)
    units = sorted(expected, key=lambda unit: -expected[unit])
    place = {unit: i for i, unit in enumerate(units)}
    items.sort(key=lambda item: place[unit_of(item)])
    result = yield
    if any("@" not in item.nodeid for item in items):  # where xdist puts the group
        raise pytest.UsageError("this pytest-xdist groups no tests with this pytest: see its 1386")
    return result


def unit_of(item):
    """The name of the unit that a test belongs to; it is marked for xdist with it."""
    group = item.get_closest_marker("xdist_group")
    if group is None:
        name = item.nodeid if item.get_closest_marker("slow") else item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(name))
        return name
    return group.args[0] if group.args else group.kwargs["name"]


def seconds_of(item):
    slow = item.get_closest_marker("slow")
    return slow.kwargs.get("seconds", 10) if slow else USUAL
