"""The course's live panels in one small notebook, and what a learner does with them.

Each panel is written as its lesson writes it; in the kernel it has the name of its cell.
"""

import re

from playwright.sync_api import expect

expect.set_options(
    timeout=60_000
)  # ms: reached when something is broken, not when a machine is busy

CELLS = {
    "fedavg": """show = ("fraction", "epochs", "batch_size", "lr", "n_clients", "split")
fedavg = lab.FederationPanel(train, test, show=show, target=0.9, lr=0.05)
fedavg""",
    "skew": """from fedcore.strategies import SCAFFOLD, FedAdam, FedAvgM, FedProx
SERVERS = {"FedProx": FedProx(1.0), "FedAvgM": FedAvgM(0.9), "FedAdam": FedAdam(0.01)}
SERVERS |= {"SCAFFOLD": SCAFFOLD()}
show = ("split", "alpha", "shards_per_client", "strategy", "epochs", "lr")
start = {"split": "Dirichlet", "alpha": 1.0, "shards_per_client": 1, "epochs": 5, "lr": 0.02}
skew = lab.FederationPanel(
    train, test, show=show, strategies=SERVERS, holdings=True, title="Skew", **start)
skew""",
    "attack": "attack = lab.AttackPanel(train, test)\nattack",
    "privacy": "privacy = lab.PrivacyPanel(train, test)\nprivacy",
    "dropout": "dropout = lab.DropoutPanel(train, test)\ndropout",
}
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
