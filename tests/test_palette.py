"""Colours can be told apart by colour-blind readers, and are never the only sign.

Colour blindness is simulated with the matrices of Machado, Oliveira and Fernandes (2009), a
difference is CIEDE2000, a contrast that of WCAG 2.1: all three by the package coloraide.
"""

import itertools
import re

import pytest
from coloraide import Color
from test_plots import history

from fedcore import plots
from fedcore.lab.style import STATIC

EYES = ("normal", "protan", "deutan", "tritan")
LEAST = 9.0  # CIEDE2000; about 1 is what a trained eye sees with both patches side by side
LINES = [f"{i}" for i in range(1, 7)]  # the six looks of a chart in the browser

# JupyterLab's own --jp-layout-color1: what a panel is drawn on. Two dark themes, the paler first.
GROUNDS = {"light": ["#ffffff"], "dark": ["#212121", "#111111"]}


def seen(color, eye):
    """``color`` as it looks to that eye; severity 1, the whole kind of cone missing."""
    return Color(color) if eye == "normal" else Color(color).filter(eye, method="machado").clip()


def closest(colors, eye):
    """(difference, the two names) of the two colours of {name: colour} that are most alike."""
    pairs = itertools.combinations(colors.items(), 2)
    return min(
        (seen(a, eye).delta_e(seen(b, eye), method="2000"), i, j) for (i, a), (j, b) in pairs
    )


def contrast(color, ground):
    return Color(color).contrast(ground, method="wcag21")


def panel_colors(theme):
    """{name: colour} of the style sheet of all widgets: what follows ``--fc-`` there."""
    text = (STATIC / "lab.css").read_text(encoding="utf-8")
    blocks = re.findall(r'^(\[data-jp-theme-light="false"\] )?\.fc \{(.*?)^\}', text, re.M | re.S)
    found = {}
    for dark, body in blocks:
        if theme == "dark" or not dark:
            found |= dict(re.findall(r"--fc-(\w+): (#\w+);", body))
    return found


def test_the_simulation_is_the_published_one():
    """Table 1 of the paper, severity 1.0, first row of protanomaly: red light, linear, as seen."""
    red = seen("red", "protan").convert("srgb-linear").coords()
    assert red[0] == pytest.approx(0.152286, abs=1e-3)
    assert red[1] == pytest.approx(0.114503, abs=1e-3)


def test_the_difference_is_the_published_one():
    """A pair of Sharma, Wu and Dalal (2005), Table 1: the first, 2.0425."""
    a, b = Color("color(--lab-d65 50 2.6772 -79.7751)"), Color("color(--lab-d65 50 0 -82.7485)")
    assert a.delta_e(b, method="2000", space="lab-d65") == pytest.approx(2.0425, abs=1e-3)


@pytest.mark.parametrize("eye", EYES)
def test_lines_of_figures_can_be_told_apart(eye):
    names = ("blue", "vermillion", "green", "purple", "brown", "sky", "black")
    found = closest(dict(zip(names, plots.PALETTE[:7], strict=True)), eye)
    assert found[0] >= LEAST, found


@pytest.mark.parametrize("theme", GROUNDS)
@pytest.mark.parametrize("eye", EYES)
def test_lines_of_panels_can_be_told_apart(theme, eye):
    colors = panel_colors(theme)
    found = closest({name: colors[name] for name in [*LINES, "ghost"]}, eye)
    assert found[0] >= LEAST, found


@pytest.mark.parametrize("theme", GROUNDS)
@pytest.mark.parametrize("eye", EYES)
def test_right_and_wrong_can_be_told_apart(theme, eye):
    colors = panel_colors(theme)
    found = closest({name: colors[name] for name in ("good", "bad")}, eye)
    assert found[0] >= LEAST, found


@pytest.mark.parametrize("color", plots.PALETTE[:7])
def test_marks_of_figures_stand_out_from_white(color):
    assert contrast(color, "white") >= 3


@pytest.mark.parametrize("theme", GROUNDS)
def test_colors_of_panels_are_readable_as_text(theme):
    """Values at the end of a line are written in its colour: 4.5 : 1, more than a mark needs."""
    colors = panel_colors(theme)
    for ground in GROUNDS[theme]:
        for name in [*LINES, "ghost", "good", "bad"]:
            assert contrast(colors[name], ground) >= 4.5, (name, ground)
        assert contrast(colors["on"], colors["1"]) >= 4.5  # the text of a button that is on


# --------------------------------------------------------------------------- more than colour


def test_lines_of_figures_differ_in_dash_and_marker_too():
    lines = plots.accuracy_curves({str(i): history(0.1, 0.2) for i in range(7)}).get_lines()
    assert len({line.get_marker() for line in lines}) == 7
    neighbours = itertools.pairwise(lines)
    assert all(a.get_linestyle() != b.get_linestyle() for a, b in neighbours)
    plots.plt.close("all")


def test_lines_of_panels_differ_in_dash_and_marker_too():
    text = (STATIC / "chart.js").read_text(encoding="utf-8")
    for name in ("DASHES", "MARKERS"):
        body = re.search(rf"const {name} = \{{(.*?)\}};", text, re.S)[1]
        looks = dict(re.findall(r'(\d): "([^"]*)"', body))
        assert sorted(looks) == LINES
        assert len(set(looks.values())) == len(LINES), name


def test_states_of_devices_differ_in_shape_too():
    """Download, upload and asked look alike at rest: there a packet, or none, moves."""
    text = (STATIC / "round_map.js").read_text(encoding="utf-8")
    body = re.search(r"const SHAPES = \{(.*?)\n\};", text, re.S)[1]
    shapes = dict(re.findall(r"(\w+): \(r\) => (.*),", body))
    told = ["ineligible", "training", "arrived", "used", "unused", "late", "died"]
    assert len({shapes[state] for state in told}) == len(told)
    assert "tickMark" in text
