"""The limits of one server as sliders: move an assumption, read what a round then needs."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets

from fedcore import scale
from fedcore.lab.stops import Stops
from fedcore.lab.style import html_block, size

SLIDERS = {
    "devices": ("Devices that report", [10**k for k in range(1, 9)], 10**6, "{:,}"),
    "params": ("Parameters", [7850, 10**5, 1_400_000, 10**7, 10**8, 10**9], 7850, "{:,}"),
    "minutes": ("Round, minutes", [1, 3, 10, 30, 100, 300], 10, "{}"),
    "gbits": ("Line, Gbit/s each way", [0.1, 1, 10, 100, 1000], 10, "{:g}"),
    "memory": ("Memory, GB", [4, 16, 64, 256, 1024], 64, "{}"),
    "requests": ("Requests a second", [100, 1000, 10_000, 100_000, 10**6], 10_000, "{:,}"),
}


class ScalePanel(widgets.VBox):
    """Sliders for what one server has and is asked for; put it last in a cell.

    aggregation: bytes of updates that it averages a second, measured. requests_per_report: how many
    HTTP requests a device makes for each report, measured. ``found`` are the Demands on the screen.
    """

    def __init__(self, aggregation: float, requests_per_report: float):
        self.aggregation, self.requests_per_report = aggregation, requests_per_report
        self.sliders = {name: _slider(*about) for name, about in SLIDERS.items()}
        self.streaming = widgets.Checkbox(True, description="running sum", indent=False)
        self.table = widgets.HTML()
        controls = [*self.sliders.values(), self.streaming]
        row = widgets.Box(
            controls, layout=widgets.Layout(flex_flow="row wrap", grid_gap="4px 28px")
        )
        super().__init__([row, self.table])
        for slider in self.sliders.values():
            slider.observe(lambda _: self._update(), names="index")
        self.streaming.observe(lambda _: self._update(), names="value")
        self._update()

    @property
    def found(self) -> dict[str, scale.Demand]:
        """What a round needs, where the sliders stand."""
        at = {name: slider.value for name, slider in self.sliders.items()}
        server = scale.Server(
            at["gbits"] * 1e9 / 8, self.aggregation, at["memory"] * 1e9, at["requests"]
        )
        return scale.demands(
            at["devices"],
            at["params"],
            60 * at["minutes"],
            server,
            self.requests_per_report,
            self.streaming.value,
        )

    def _update(self) -> None:
        found, n = self.found, self.sliders["devices"].value
        rows = "".join(_row(what, demand) for what, demand in found.items())
        fits = scale.most_devices(found, n)
        worst = scale.bottleneck(found)
        text = f"First to break: {worst}. "
        text += f"All but memory fit for at most {fits:,} devices a round."
        heads = "".join(f'<th scope="col">{h}</th>' for h in ("needed", "there", "share", ""))
        self.table.value = html_block(
            '<b>One server, one round</b><div class="fc-scroll"><table class="fc-table fc-named">'
            f"<thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
            f'<p role="status">{escape(text)}</p>'
        )


def amount(value: float, unit: str) -> str:
    """31_400_000_000, "B" -> "31.4 GB"; other units as numbers."""
    if unit != "B":
        return f"{value:,.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
    return f"{value / 1e12:,.1f} TB" if value >= 1e12 else size(value)


def _row(what: str, demand: scale.Demand) -> str:
    share = demand.share
    verdict = "fits" if share <= 1 else "too much"
    told = f"{share:.1%}" if share < 10 else f"{share:,.0f} times"
    cells = (amount(demand.need, demand.unit), amount(demand.have, demand.unit), told, verdict)
    cls = ' style="font-weight:bold"' if share > 1 else ""
    body = "".join(f"<td{cls}>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(what)}</th>{body}</tr>'


def _slider(label: str, values: list, start, form: str) -> Stops:
    slider = Stops(label, [(form.format(value), value) for value in values], start)
    slider.layout = widgets.Layout(width="300px", max_width="100%")
    return slider
