"""Fixtures of the browser tests; ``browser.notebook`` says how to use them."""

import itertools
import os
import re
import shutil

import nbformat
import pytest

from browser import chromium
from browser.notebook import IMPORTS, LIMIT, ROOT, Notebook
from browser.server import Server

RESULTS = ROOT / "test-results"
HERE = "tests/browser/"
OPEN = pytest.StashKey()


class Course:
    """The course as a learner has it open: a server, a browser, and the pages in it."""

    def __init__(self, server, browser):
        self.server, self.browser = server, browser
        self.pages = []
        self._lesson = self._fault = None
        self._numbers = itertools.count(1)

    def open(self, path, **how):
        """A ``Notebook``; ``how``: width, height, and what a browser context takes."""
        page = Notebook(self.server, self.browser, path, **how)
        self.pages.append(page)
        return page

    def close(self, page):
        """Close a page, and end its kernel."""
        self.pages.remove(page)
        page.close()

    def lesson(self, name):
        """The page of a lesson, run once; the lesson before it is closed, to save memory."""
        path = f"notebooks/{name}.ipynb"
        if self._lesson is None or self._lesson.path != path:
            self.close_lesson()
            self._lesson, self._fault = self.open(path), None
            try:
                self._lesson.run_all()
            except (AssertionError, TimeoutError) as fault:
                self._fault = fault
        if self._fault:  # said to every test of the lesson, but waited for only once
            raise self._fault
        return self._lesson

    def close_lesson(self):
        """Close the page of the shared lesson."""
        if self._lesson is not None:
            page, self._lesson = self._lesson, None
            self.close(page)

    def copy(self, path):
        """A fresh copy of a notebook of the checkout, beside the served one; returns its path."""
        stem, suffix = path.rsplit(".", 1)
        copy = f"{stem}_{next(self._numbers)}.{suffix}"
        shutil.copy(ROOT / path, self.server.root / copy)
        return copy

    def write(self, cells, imports=IMPORTS):
        """A notebook of these code cells, after a cell of imports; returns its path."""
        sources = [*([imports] if imports else []), *cells]
        note = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in sources],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        path = f"notebooks/test_{next(self._numbers)}.ipynb"
        nbformat.write(note, self.server.root / path)
        return path


# -------------------------------------------------------------------------------- fixtures


@pytest.fixture(scope="session")
def browser_path():
    """Where the browser is. Without one: skipped, and a failure where CI=true."""
    path = chromium.find()
    if path is None:
        what, reason = chromium.missing(os.environ)
        getattr(pytest, what)(reason)
    return path


@pytest.fixture(scope="session")
def server(browser_path, tmp_path_factory):
    """One JupyterLab for all tests of a process."""
    running = Server(tmp_path_factory.mktemp("jupyter"))
    yield running
    running.stop()


@pytest.fixture(scope="package")
def course(browser_path, server, request):
    """Server and browser.

    The scope is this folder: Playwright keeps an event loop running in the thread that uses it,
    which no later test that needs one of its own could bear.
    """
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * LIMIT)
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright, browser_path)
        opened = request.config.stash[OPEN] = Course(server, browser)
        yield opened
        del request.config.stash[OPEN]
        for page in list(opened.pages):
            opened.close(page)
        browser.close()


@pytest.fixture(scope="module")
def page_of_panels(course, request):
    """One notebook, run, with the panels of the module's ``PANELS``."""
    note = course.open(course.write(list(request.module.PANELS.values())))
    note.run_all()
    yield note
    course.close(note)


@pytest.fixture
def lesson(request, course):
    """The lesson that ``in_lesson`` or ``all_lessons`` names, after Run All; shared."""
    return course.lesson(request.param)


@pytest.fixture
def open_notebook(course):
    """``open_notebook("exercises/...ipynb", width=1280)``: a fresh copy, not yet run."""
    opened = []

    def function(path, **how):
        opened.append(course.open(course.copy(path), **how))
        return opened[-1]

    yield function
    for page in opened:
        course.close(page)


@pytest.fixture
def open_cells(course):
    """``open_cells(["panel = ...; panel"], width=1280)``: a small notebook, run.

    ``fc``, ``lab``, ``train`` and ``test`` (MNIST) are there; ``imports=""`` leaves them out;
    ``run=False`` runs nothing.
    """
    opened = []

    def function(cells, *, imports=IMPORTS, run=True, **how):
        page = course.open(course.write(cells, imports), **how)
        opened.append(page)
        if run:
            page.run_all()
        return page

    yield function
    for page in opened:
        course.close(page)


# -------------------------------------------------------------------------------- the order


@pytest.hookimpl(tryfirst=True)  # in_parallel.py orders the groups
def pytest_itemcollected(item):
    """A lesson, or else a file, is a unit that one process runs: see ``in_parallel``."""
    item.add_marker(pytest.mark.slow)
    item.add_marker(pytest.mark.xdist_group(_lesson(item) or f"browser {item.path.stem}"))


def pytest_collection_modifyitems(config, items):
    """All tests of a lesson in a row, whatever their file: a lesson is run once."""
    if getattr(config.option, "loadgroup", False):
        return  # they are, by ``in_parallel``
    ours = [item for item in items if item.nodeid.startswith(HERE)]
    in_order = iter(sorted(ours, key=_lesson))  # stable: the order in a lesson remains
    items[:] = [next(in_order) if item.nodeid.startswith(HERE) else item for item in items]


def _lesson(item):
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("lesson", "") if callspec else ""


# -------------------------------------------------------------------------------- failures


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that fails leaves what its pages show, and says where."""
    report = yield
    if report.failed and item.nodeid.startswith(HERE):
        course = item.config.stash.get(OPEN, None)
        if course is not None:
            report.sections.append(("browser", _keep(item, course)))
    return report


def _keep(item, course):
    folder = RESULTS / re.sub(r"[^\w.-]+", "_", item.nodeid.removeprefix(HERE))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(course.server.log, folder / "server.log")
    for page in course.pages:
        page.keep(folder)
    return f"Screenshots, console and the server's log: {folder.relative_to(ROOT)}"
