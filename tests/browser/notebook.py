"""A notebook open in JupyterLab in a real browser, and how to write a test with it.

    from browser.notebook import all_lessons, in_lesson

    @all_lessons                      # once for every lesson; or @in_lesson("02_fedavg", ...)
    def test_something(lesson):       # lesson: a Notebook on which Run All has finished
        lesson.width(400)
        panel = lesson.cell("lab.FederationPanel(")     # the cell with that text, scrolled to
        panel.get_by_role("button", name="Play").click()
        expect(panel.get_by_role("status")).to_have_text(...)      # waits; never sleep

    def test_small(open_cells):       # seconds: only these cells, imports come by themselves
        note = open_cells(["panel = lab.FederationPanel(train, test); panel"])
        assert note.kernel("panel.settings.fraction") == 0.1       # asks the kernel, no cell needed

A lesson is run once in a session and its page is shared: leave it usable, since the next test of
that lesson gets it as you left it. All tests of a lesson run in a row, whatever their file. What
ruins a page (a restart, settings that stay) belongs on one of its own: ``open_cells``, or
``open_notebook("exercises/...")`` for a fresh copy of any notebook.

Playwright's own ``note.page`` does the rest: locators wait, so does ``playwright.sync_api.expect``.
A test that fails leaves screenshots, console and the server's log in ``test-results/``.
"""

import ast
import re
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
LIMIT = 120  # seconds for whatever takes one or two on an idle machine
RUN_LIMIT = 900  # seconds for a whole lesson
POLL = 0.2

IMPORTS = """import fedcore as fc
from fedcore import lab

train, test = fc.datasets.load_mnist()"""

# What JupyterLab knows of each cell, whether it is on the screen or not.
CELLS = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  return panel.content.widgets.map((cell) => ({
    kind: cell.model.type,
    source: cell.model.sharedModel.getSource(),
    count: cell.model.executionCount ?? null,
    state: cell.model.executionState ?? "idle",
    outputs: cell.model.type === "code" ? cell.model.outputs.toJSON() : [],
  }));
}"""
KERNEL = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel ? [kernel.connectionStatus, kernel.status] : null;
}"""
EVALUATE = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code: "", silent: true, store_history: false,
                                         user_expressions: { value: code } });
  return (await future.done).content.user_expressions.value;
}"""


def in_lesson(*names):
    """Run the test, which asks for ``lesson``, on each of these lessons."""
    return pytest.mark.parametrize("lesson", names, indirect=True)


all_lessons = in_lesson(*LESSONS)


class Notebook:
    """One notebook on one page of the browser, with a kernel of its own.

    path: below the folder that the server serves. All limits are generous: they are reached when
    something is broken, not when the machine is busy.
    """

    def __init__(self, server, browser, path, *, width=1280, height=1000, **context):
        self.server, self.path = server, path
        self.console = []  # what the page complained about: errors of the console and of scripts
        self.requests_outside = []  # addresses other than the server's
        self._context = browser.new_context(viewport={"width": width, "height": height}, **context)
        self.page = self._context.new_page()
        self.page.set_default_timeout(1000 * LIMIT)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.console.append(f"page error: {error}"))
        self.page.on("request", self._on_request)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self):
        workspace = re.sub(r"\W", "-", self.path)
        address = f"{self.server.url}/lab/workspaces/{workspace}/tree/{quote(self.path)}"
        self.page.goto(f"{address}?token={self.server.token}&reset")
        self.wait_ready()

    def _on_console(self, message):
        if message.type == "error":
            self.console.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_request(self, request):
        parts = urlsplit(request.url)
        if (
            parts.scheme not in ("data", "blob")
            and parts.netloc != urlsplit(self.server.url).netloc
        ):
            self.requests_outside.append(request.url)

    # ------------------------------------------------------------------- waiting

    def until(self, condition, what, limit=LIMIT):
        """Wait until ``condition()`` is true and return its value.

        Raises TimeoutError that says ``what`` was waited for. The page stays alive meanwhile.
        """
        end = time.monotonic() + limit
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise TimeoutError(f"{self.path}: waited {limit} s for {what}")
            self.page.wait_for_timeout(1000 * POLL)

    def wait_ready(self):
        """Wait until the kernel is connected and idle.

        JupyterLab shows "Idle" before the kernel is connected, and drops a Run All that comes
        earlier without a word: so the server is asked, and the page's own connection.
        """
        self.until(self._connected, "a connected, idle kernel")
        self.page.locator("#jp-main-statusbar").get_by_text("| Idle").first.wait_for()

    def _connected(self):
        kernels = [session["kernel"] for session in self.server.sessions(self.path)]
        idle = any(k["connections"] > 0 and k["execution_state"] == "idle" for k in kernels)
        return idle and self.page.evaluate(KERNEL) == ["connected", "idle"]

    # ------------------------------------------------------------------- running

    def menu(self, name, command):
        """Choose an entry of a menu, as a learner does: ``menu("Run", "runmenu:run-all")``.

        On a page so narrow that the menu is folded, the page is wide meanwhile.
        """
        size = self.page.viewport_size
        with self._wide(size):
            self.page.get_by_role("menuitem", name=name, exact=True).click()
            self.page.locator(f'.lm-Menu-item[data-command="{command}"]').click()

    @contextmanager
    def _wide(self, size):
        if size["width"] >= 1000:
            yield
            return
        self.page.set_viewport_size({"width": 1280, "height": size["height"]})
        yield
        self.page.set_viewport_size(size)

    def run_all(self, limit=RUN_LIMIT):
        """Run > Run All Cells, and wait until every cell has run.

        Raises AssertionError with the errors if a cell raises.
        """
        self.start_all()
        self.wait_done(limit)

    def start_all(self):
        """Run > Run All Cells, without waiting for anything."""
        self._forget_counts()
        self.menu("Run", "runmenu:run-all")

    def _forget_counts(self):
        """Take the numbers of an earlier run from the cells: one then means that it has run."""
        self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets.forEach((cell) => {
              if (cell.model.type === "code") cell.model.executionCount = null;
            })"""
        )

    def wait_done(self, limit=RUN_LIMIT):
        """Wait until every code cell has run, or one has raised; see ``run_all``."""
        self.until(self._done, "all cells to have run", limit)
        assert not self.errors(), f"{self.path}: cells raised\n" + "\n".join(self.errors())

    def _done(self):
        code = [c for c in self.cells() if c["kind"] == "code" and c["source"].strip()]
        if any(cell["state"] != "idle" for cell in code) or not self._connected():
            return False
        ran = [cell for cell in code if cell["count"] is not None]
        raised = any(o["output_type"] == "error" for cell in ran for o in cell["outputs"])
        return len(ran) == len(code) or raised

    def run_cell(self, text, limit=LIMIT):
        """Run the one cell whose source holds ``text``, and wait for it."""
        index = self.index(text)
        self._forget_counts()
        self.page.evaluate(
            """(index) => {
              window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
              return window.jupyterapp.commands.execute("notebook:run-cell");
            }""",
            index,
        )
        ran = lambda: self.cells()[index]["count"] is not None and self._connected()  # noqa: E731
        self.until(ran, f"the cell with {text!r} to have run", limit)

    def write(self, text, source):
        """Replace the source of the cell that holds ``text``: a click, select all, paste."""
        editor = self.cell(text).locator(".cm-content")
        editor.click()
        editor.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(source)
        assert self.index(source) is not None

    def kernel(self, expression):
        """The value of a Python expression in the notebook's kernel: numbers, text, lists, dicts.

        Needs no cell and leaves no trace. Raises AssertionError if the expression raises.
        """
        answer = self.page.evaluate(EVALUATE, expression)
        assert answer["status"] == "ok", f"{expression}: {answer}"
        return ast.literal_eval(answer["data"]["text/plain"])

    def restart(self):
        """Kernel > Restart Kernel, confirmed; waits until the new kernel is connected."""
        self.menu("Kernel", "kernelmenu:restart")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self.until(
            lambda: self.page.evaluate(KERNEL) == ["connected", "idle"], "the restarted kernel"
        )
        self.wait_ready()

    def save(self):
        """Save the notebook, and wait for it."""
        self.page.evaluate('() => window.jupyterapp.commands.execute("docmanager:save")')
        dirty = "() => window.jupyterapp.shell.currentWidget.context.model.dirty"
        self.until(lambda: not self.page.evaluate(dirty), "the notebook to be saved")

    def reload(self):
        """Load the page anew; the kernel lives on."""
        self.page.reload()
        self.wait_ready()

    # ------------------------------------------------------------------- looking

    def cells(self):
        """Every cell as JupyterLab holds it: kind, source, count, state, outputs."""
        return self.page.evaluate(CELLS)

    def index(self, text):
        """The place of the one code cell whose source holds ``text``."""
        found = [
            i
            for i, cell in enumerate(self.cells())
            if cell["kind"] == "code" and text in cell["source"]
        ]
        assert len(found) == 1, f"{self.path}: {len(found)} code cells hold {text!r}, expected 1"
        return found[0]

    def cell(self, which):
        """Locator of a cell, by its place or by a text in its source, scrolled into view."""
        index = which if isinstance(which, int) else self.index(which)
        self.page.evaluate(
            """async (index) => {
              const content = window.jupyterapp.shell.currentWidget.content;
              await content.scrollToItem(index, "start");
            }""",
            index,
        )
        cell = self.page.locator(
            f'.jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell[data-windowed-list-index="{index}"]'
        )
        cell.scroll_into_view_if_needed()
        return cell

    def errors(self):
        """What cells raised or wrote to stderr: one text each, empty if all is well."""
        found = []
        for i, cell in enumerate(self.cells()):
            for output in cell["outputs"]:
                if output["output_type"] == "error":
                    found.append(f"cell {i}: {output['ename']}: {output['evalue']}")
                if output["output_type"] == "stream" and output["name"] == "stderr":
                    found.append(f"cell {i}: stderr: {''.join(output['text'])}")
        return found

    # ------------------------------------------------------------------- how it looks

    def width(self, pixels):
        """Make the page so wide; below 1000 the side bar is folded, as on a small screen."""
        self.page.set_viewport_size({**self.page.viewport_size, "width": pixels})
        self.page.evaluate(
            """(narrow) => {
              const shell = window.jupyterapp.shell;
              if (narrow) shell.collapseLeft();
            }""",
            pixels < 1000,
        )

    @contextmanager
    def dark(self):
        """JupyterLab's dark theme, for the length of a ``with``."""
        self._theme("JupyterLab Dark", "false")
        try:
            yield
        finally:
            self._theme("JupyterLab Light", "true")

    def _theme(self, name, light):
        self.page.evaluate(
            """(theme) => window.jupyterapp.commands.execute(
              "apputils:change-theme", { theme })""",
            name,
        )
        # JupyterLab hides itself until the next frame, and its splash covers the page a while.
        self.page.locator(f'body[data-jp-theme-light="{light}"] #main').wait_for()
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    # ------------------------------------------------------------------- the end

    def keep(self, folder):
        """Write what the page shows, and said, into ``folder``: for a test that failed."""
        folder = Path(folder)
        name = re.sub(r"\W+", "-", self.path.removesuffix(".ipynb"))
        (folder / f"{name}.console.txt").write_text("\n".join(self.console), encoding="utf-8")
        if not self.page.is_closed():
            self.page.screenshot(path=folder / f"{name}.png", timeout=60_000)

    def close(self):
        """Close the page, and end the notebook's kernel."""
        self._context.close()
        self.server.end_sessions(self.path)
