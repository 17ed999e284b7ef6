"""Lesson 7's panels: processes that are started, killed and stopped; the limits of a server."""

import re
from contextlib import suppress

import psutil
import pytest
from playwright.sync_api import expect

from browser.notebook import LIMIT, in_lesson
from browser.panels import from_lesson, plain
from fedcore.flower_guard import marked

LESSON = "07_real_federation"
START = "lab.ProcessPanel(n_nodes"
ROUND_LIMIT = 600  # seconds for what takes a federation of processes a minute
WITHOUT_FLOWER = """import sys

sys.modules["flwr"] = None  # as where Flower is not installed
lab.processes.HASTE = 1e9"""
EXPECTED = """from fedcore import scale
from fedcore.lab.scale_panel import amount

def demands():
    at = {name: slider.value for name, slider in limits.sliders.items()}
    server = scale.Server(at["gbits"] * 125e6, 5e8, at["memory"] * 1e9, at["requests"])
    how = (server, 30.0, limits.streaming.value)
    return scale.demands(at["devices"], at["params"], 60 * at["minutes"], *how)

def expected():
    return [[what, amount(d.need, d.unit), amount(d.have, d.unit),
             f"{d.share:.1%}" if d.share < 10 else f"{d.share:,.0f} times",
             "fits" if d.share <= 1 else "too much"] for what, d in demands().items()]"""
CELLS = {
    "processes": from_lesson("processes", LESSON, START, WITHOUT_FLOWER),
    "limits": from_lesson("limits", LESSON, "lab.ScalePanel(", "rate, per_report = 5e8 / 12, 30.0"),
    "expected": EXPECTED,
}


class Processes:
    """A ProcessPanel on the page."""

    def __init__(self, cell):
        self.root = cell.locator(".jp-Cell-outputArea")
        self.log = self.root.get_by_role("log")
        self.map = self.root.get_by_label("Network map")
        self.round = self.map.locator(".fc-round")

    def press(self, name):
        """Click a button of the panel, not of its map."""
        self.root.locator(".jupyter-button", has_text=re.compile(f"^{name}$")).click()

    def says(self, text, limit=LIMIT):
        """Until the sentence above the buttons holds this text."""
        status = self.root.get_by_role("status").first
        expect(status).to_contain_text(text, timeout=1000 * limit)

    def drawn(self, node):
        """The classes of a node's dot."""
        return set(self.map.locator(".fc-map .fc-client").nth(node).get_attribute("class").split())

    def told(self, node):
        """What the map says of a node, after a click on it."""
        self.map.locator(".fc-map .fc-client").nth(node).click()
        return plain(self.map.locator(".fc-who").inner_text())

    def lost(self, node, *others):
        """The round on the screen went on without ``node``: map, sentence and numbers agree."""
        assert "fc-silent" in self.drawn(node)
        assert "fc-active" not in self.drawn(node)
        expect(self.map.locator(".fc-silent-cross")).to_have_count(2)  # the node and the legend
        expect(self.map.locator(".fc-silent-item")).to_be_visible()
        assert self.told(node) == f"node {node}: 31.4 kB down; 0 B up; was silent."
        for other in others:
            assert "fc-active" in self.drawn(other)
            assert (
                self.told(other)
                == f"node {other}: 31.4 kB down; 31.4 kB up; weight in the mean 0.5."
            )
        said = self.map.get_by_role("status").first
        expect(said).to_contain_text(f"nothing came from {node}. Test accuracy")
        expect(self.map.locator(".fc-traffic")).to_have_text(re.compile("94.2.kB down, 62.8.kB up"))


def superlinks():
    """The folder of each SuperLink that a kernel of ours is running."""
    from fedcore.flower_processes import MARK  # not without Flower

    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it ends just now
            if any("flower-superlink" in word for word in process.cmdline()):
                found.add(process.environ()[MARK])
    return found


@in_lesson(LESSON)
def test_a_node_is_killed_and_the_round_survives_on_the_page(lesson):
    """The lesson's last panel with Flower's processes: start, kill, go on, stop, nothing left."""
    pytest.importorskip("flwr", reason="Flower is missing; make test installs it (Python 3.11)")
    from fedcore.flower_processes import MARK

    panel = Processes(lesson.cell(START))
    panel.says("Press Start.")
    panel.press("Start")
    try:
        panel.says("Running. Kill a node whenever you like.")
        panel.press("Start")  # a second click starts no second federation
        expect(panel.log).to_contain_text(
            "3 of 3 clients are connected", timeout=ROUND_LIMIT * 1000
        )
        assert panel.round.inner_text() == "No round yet"
        (folder,) = superlinks()
        assert len(marked(MARK, folder)) > 3
        panel.press("Kill node 2")
        expect(panel.log).to_contain_text("SuperNode 2   killed from here, with SIGKILL")
        expect(panel.round).to_have_text("Round 1", timeout=ROUND_LIMIT * 1000)
        panel.lost(2, 0, 1)
        expect(panel.log).to_contain_text("round 1 of 3: 2 of 3 clients")
    finally:
        panel.press("Stop")
        panel.says("Stopped: every process has been ended.")
    lesson.until(lambda: not marked(MARK, folder), "the end of every process")
    assert superlinks() == set()
    assert lesson.errors() == []
    assert lesson.console == []


# ------------------------------------------------------------------------------ without Flower


@pytest.fixture(scope="module")
def page(course):
    """Both panels, where Flower is not installed."""
    note = course.open(course.write(list(CELLS.values())))
    note.run_all()
    yield note
    assert note.errors() == []
    assert note.console == []
    course.close(note)


def test_without_flower_the_record_is_replayed_and_its_lost_node_crossed_out(page):
    panel = Processes(page.cell(START))
    panel.says("Press Start.")
    panel.press("Kill node 1")
    panel.says("nothing is running here")
    panel.press("Start")
    panel.says("The record has ended.")
    expect(panel.log).to_contain_text("SuperNode 2   killed from here, with SIGKILL")
    expect(panel.round).to_have_text("Round 3")
    panel.lost(2, 0, 1)
    panel.map.get_by_role("button", name="Round before").click()
    expect(panel.round).to_have_text("Round 2")
    assert [panel.drawn(node) for node in range(3)] == [{"fc-client", "fc-active"}] * 3
    panel.press("Stop")
    panel.says("Stopped")


TABLE = """(root) => [...root.querySelectorAll(".fc-table tbody tr")].map(
  (row) => [...row.children].map((cell) => cell.textContent))"""


def test_each_limit_goes_to_both_extremes_and_back(page):
    """The table is what the plain function gives for where the sliders stand."""
    root = page.cell("lab.ScalePanel(").locator(".jp-Cell-outputArea")
    first = root.evaluate(TABLE)
    sliders = root.get_by_role("slider")
    names = page.kernel("list(limits.sliders)")
    assert sliders.count() == len(names) == 6
    ids = sliders.evaluate_all("(all) => all.map((slider) => slider.labels[0].htmlFor)")
    assert len(set(ids)) == 6  # each has a name of its own
    for i, name in enumerate(names):
        start = page.kernel(f"limits.sliders[{name!r}].index")
        for key, place in (("End", -1), ("Home", 0)):
            sliders.nth(i).press(key)
            at = f"limits.sliders[{name!r}].value == limits.sliders[{name!r}].options[{place}][1]"
            page.until(lambda at=at: page.kernel(at), f"{name} at its {key}")
            agree(page, root)
        for _ in range(start):
            sliders.nth(i).press("ArrowRight")
        page.until(lambda: root.evaluate(TABLE) == first, f"{name} to be back")
    root.get_by_label("running sum").uncheck()
    page.until(lambda: not page.kernel("limits.streaming.value"), "the box to be off")
    agree(page, root)
    assert root.evaluate(TABLE) != first


def agree(page, root):
    """Until the page's table is what ``scale`` says of where the sliders stand."""
    page.until(lambda: root.evaluate(TABLE) == page.kernel("expected()"), "the table to follow")
    first = page.kernel("scale.bottleneck(demands())")
    expect(root.locator("p[role=status]")).to_contain_text(f"First to break: {first}.")
