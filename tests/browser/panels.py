"""The course's live panels in one small notebook, and what a learner does with them.

The cells are those of the lessons; in the kernel each panel has the name that it has here.
"""

import ast
import json
import re
from contextlib import contextmanager

from playwright.sync_api import expect

from browser.notebook import ROOT

expect.set_options(
    timeout=60_000
)  # ms: reached when something is broken, not when a machine is busy


def from_lesson(name, lesson, text, before=""):
    """The lesson's one cell that holds ``text``, its last expression called ``name``.

    before: what the cells above it in the lesson have made, where the panel needs it.
    """
    cells = json.loads((ROOT / "notebooks" / f"{lesson}.ipynb").read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    (source,) = (source for source in sources if text in source)
    last = ast.parse(source).body[-1]
    lines = source.splitlines()
    lines[last.lineno - 1] = f"{name} = {lines[last.lineno - 1]}"
    return "\n".join([*before.splitlines(), *lines, name])


STRATEGIES = "from fedcore.strategies import SCAFFOLD, FedAdam, FedAvgM, FedProx"
# A panel of each kind, each in a cell that needs no other.
CELLS = {
    "fedavg": from_lesson("fedavg", "02_fedavg", "lab.FederationPanel("),
    "skew": from_lesson("skew", "03_non_iid", "holdings=True, **start", STRATEGIES),
    "attack": from_lesson("attack", "05_inference_attacks", "lab.AttackPanel(", "public = test"),
    "privacy": from_lesson("privacy", "06_privacy", "lab.PrivacyPanel("),
    "dropout": from_lesson("dropout", "04_dropouts", "lab.DropoutPanel("),
}
# The lessons' other panels of the same kinds. ``challenge`` needs the cell of ``skew``.
MORE = {
    "welcome": from_lesson("welcome", "00_start_here", "lab.FederationPanel("),
    "bytes_sent": from_lesson("bytes_sent", "01_model_to_data", "lab.FederationPanel("),
    "challenge": from_lesson("challenge", "03_non_iid", "lab.Challenge("),
}
# For what is done in the middle of a run: on its last step it waits until it is given up.
ENDLESS = """import time

def endless(panel):
    life = panel._life

    def held(settings, cancelled):
        for step in life(settings, cancelled):
            while step[0] != "running" and not cancelled():
                time.sleep(0.01)
            yield step

    panel._life = held
    return panel"""
ENDED = ("done", "diverged", "failed", "stopped")
IN_PHASE = "(root, phases) => phases.includes(root.dataset.phase)"


class Panel:
    """One panel of an open notebook: ``name`` in the kernel, ``root`` on the page."""

    def __init__(self, note, name):
        self.note, self.name = note, name
        self.root = note.cell(f"\n{name}").locator(".fc-panel")
        self.root.wait_for()

    @property
    def phase(self):
        """What the page says of the run: waiting, running, done ..."""
        return self.root.get_attribute("data-phase")

    def wait(self, *phases):
        """Until the page shows one of these phases; returns it."""
        what = f"{self.name} to be {' or '.join(phases)}"
        self.note.until(lambda: self.root.evaluate(IN_PHASE, list(phases)), what)
        return self.phase

    def answered(self):
        """Until the kernel has answered the last request of the page."""
        return self.wait("running", *ENDED)

    def settled(self):
        """Until the run for what the sliders say has ended; returns its phase."""
        return self.wait(*ENDED)

    def ask(self, expression):
        """The value of an expression in the kernel where ``p`` is the panel."""
        return self.note.kernel(f"(lambda p: {expression})({self.name})")

    @contextmanager
    def endless(self):
        """Runs that begin meanwhile train, but end only when they are given up: see ``ENDLESS``."""
        self.note.kernel(f"exec({ENDLESS!r}, globals()) or endless({self.name}) and None")
        try:
            yield
        finally:
            self.note.kernel(f"vars({self.name}).pop('_life') and None")

    # ------------------------------------------------------------------------- controls

    def sliders(self):
        """{setting: slider} of those that can be moved now."""
        lines = {line.get_attribute("data-name"): line for line in self._lines(".fc-stops")}
        found = {name: line.get_by_role("slider") for name, line in lines.items()}
        return {name: slider for name, slider in found.items() if slider.is_enabled()}

    def choices(self):
        """{setting: its row of buttons}."""
        return {line.get_attribute("data-name"): line for line in self._lines(".fc-fieldset")}

    def _lines(self, kind):
        return self.root.locator(f"{kind}[data-name]").all()

    def slider(self, name):
        """The slider of a setting."""
        return self.root.locator(f".fc-stops[data-name={name}]").get_by_role("slider")

    def put(self, name, position):
        """Move the slider of a setting to a position with the arrow keys."""
        slider = self.slider(name)
        steps = position - int(slider.input_value())
        for _ in range(abs(steps)):
            slider.press("ArrowRight" if steps > 0 else "ArrowLeft")
        assert int(slider.input_value()) == position

    def press(self, name):
        """Click the button with that name."""
        self.button(name).click()

    def button(self, name):
        """The button with that name."""
        return self.root.get_by_role("button", name=name, exact=True)

    # ------------------------------------------------------------------------- what it says

    def status(self):
        """The sentence that says how far the run is."""
        return plain(self.root.locator(".fc-status").inner_text())

    def texts(self, css):
        """The texts of all nodes that match, in one look at the page."""
        return [plain(text) for text in self.root.locator(css).all_inner_texts()]

    def tiles(self):
        """{name: value} of the figures on the screen."""
        names, values = self.texts(".fc-tiles .fc-tile-name"), self.texts(".fc-tiles .fc-big")
        return dict(zip(names, values, strict=True))

    def lasting(self):
        """The figures that the settings decide; how long the computing took isn't one."""
        return {name: value for name, value in self.tiles().items() if name != "Computing"}

    def positions(self):
        """{setting: where its slider or button stands on the page}."""
        found = {name: int(line.input_value()) for name, line in self._sliders_all()}
        for name, row in self.choices().items():
            found[name] = int(row.locator("input:checked").get_attribute("value"))
        return found

    def _sliders_all(self):
        for line in self._lines(".fc-stops"):
            yield line.get_attribute("data-name"), line.get_by_role("slider")


def plain(text):
    """Text with usual spaces and minus signs."""
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-").strip()


def numbers(text):
    """All numbers in a text."""
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", plain(text).replace(",", ""))]


def n_bytes(text):
    """'6.28 MB' -> 6280000."""
    value, unit = re.search(r"([\d.]+) (B|kB|MB|GB)\b", plain(text)).groups()
    return float(value) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
