"""No flicker, no jumping page, no stack of old plots; and never an older run's result last."""

import pytest

from browser.feel import drag, watch, watched
from browser.panels import CELLS, Panel

WIDTHS = (1280, 400)
PANELS = CELLS


@pytest.fixture(params=CELLS)
def panel(page_of_panels, request):
    """A panel at its defaults, its run ended."""
    panel = Panel(page_of_panels, request.param)
    panel.settled()
    yield panel
    panel.press("Reset")
    panel.answered()
    page_of_panels.width(1280)
    assert page_of_panels.console == []


def moves(panel):
    """Each slider one stop up or down, and back."""
    for name, slider in panel.sliders().items():
        at, last = int(slider.input_value()), int(slider.get_attribute("max"))
        yield name, at + 1 if at < last else at - 1
        yield name, at


def show_the_longest_words(panel):
    """A legend tells how the last run that came to its end differs: here in every slider."""
    for name, position in [*moves(panel)][::2]:
        panel.put(name, position)
    panel.settled()
    panel.press("Reset")
    panel.answered()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_move_leaves_the_page_still(panel, width):
    """After the first moves, which may need another line somewhere, nothing moves any more."""
    panel.note.width(width)
    panel.root.scroll_into_view_if_needed()
    show_the_longest_words(panel)
    for name, position in moves(panel):
        panel.put(name, position)
        panel.answered()
    panel.settled()
    watch(panel)
    for name, position in moves(panel):
        panel.put(name, position)
        panel.answered()
    panel.settled()
    seen = watched(panel)
    assert seen["frames"] > 10
    assert len(seen["heights"]) == 1, seen
    assert len(seen["figures"]) == 1, seen
    assert (seen["blank"], seen["replaced"]) == (0, 0)
    assert seen["shift"] < 0.001, seen


DRAGGED = {"fedavg": "epochs", "skew": "epochs", "attack": "seed", "privacy": "clip_norm"}
DRAGGED |= {"dropout": "window"}


def test_ten_moves_in_a_third_of_a_second_end_with_the_last(panel):
    """Whatever runs were under way: what is shown last is what Python computes for the last."""
    name = DRAGGED[panel.name]
    last = panel.ask(f"next(len(c.values) for c in p._controls if c.name == {name!r})") - 1
    start = int(panel.slider(name).input_value())
    places = [i % (last + 1) for i in range(9)] + [(start + 1) % (last + 1)]
    watch(panel)
    drag(panel.slider(name), places)
    assert panel.settled() == "done"
    ended = watched(panel)["ended"]
    assert ended[-1] == "done"
    assert panel.positions()[name] == places[-1]
    assert panel.ask("p.request['values']") == panel.positions()
    assert panel.ask("p._result.settings == p.settings")
    assert shown(panel) == panel.ask(EXPECTED[panel.name])


EXPECTED = {
    "fedavg": "f'{100 * [r.accuracy for r in lab.panel_run(p.settings, train, test)][-1]:.1f} %'",
    "attack": "f'{lab.attack_run(p.settings, train, test).ssim.mean():.2f}'",
    "privacy": "f'{100 * lab.privacy_run(p.settings, train, test).accuracy[-1]:.1f} %'",
    "dropout": "f'{100 * next(lab.dropout_run(p.settings, train, test)).record.accuracy:.1f} %'",
}
EXPECTED["skew"] = EXPECTED["fedavg"]


def shown(panel):
    """A figure on the page that the settings decide."""
    tiles = panel.tiles()
    return next(tiles[k] for k in ("Test accuracy", "SSIM", "All test digits") if k in tiles)


def test_a_hundred_moves_leave_nothing_behind(page_of_panels):
    """Nodes and listeners of the page, after a collection of garbage."""
    panel = Panel(page_of_panels, "attack")
    session = page_of_panels.page.context.new_cdp_session(page_of_panels.page)

    def kept():
        panel.settled()
        session.send("HeapProfiler.collectGarbage")
        return session.send("Memory.getDOMCounters")

    def fifty_moves():
        for _ in range(5):
            drag(panel.slider("seed"), range(10))

    fifty_moves()
    before = kept()
    fifty_moves()
    fifty_moves()
    after = kept()
    assert after["documents"] <= before["documents"]
    assert after["nodes"] < before["nodes"] + 600
    assert after["jsEventListeners"] < before["jsEventListeners"] + 50
