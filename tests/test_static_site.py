"""The static site's parts, on small inputs; the whole is built in browser/test_site_pages.py."""

import base64
import gzip
import json

import pytest

pytest.importorskip("latex2mathml", reason="make site: pip install '.[site]'")

from static_site import capture, links, prose, render, search, slices, states
from static_site.course import Links, Page, pages

from fedcore import lab
from fedcore.datasets import Dataset
from fedcore.lab.live import LivePanel


@pytest.fixture
def small(digits):
    """(train, test) of the small problem."""
    x, y = digits
    return Dataset(x[:90], y[:90], 5), Dataset(x[90:], y[90:], 5)


# --------------------------------------------------------------------------------- what to run


def test_a_cell_is_run_with_what_it_stands_on_and_nothing_else():
    cells = [
        "import numpy as np",
        "a = np.ones(3)",
        "b = 2  # not needed",
        "log = []",
        "log.append(a)",
        "def f():\n    return log",
        "f()",
    ]
    assert slices.needed(cells, 6) == [0, 1, 3, 4, 5, 6]


def test_what_is_bound_again_hides_what_was_bound_before():
    cells = ["x = slow()", "x = 1", "x += 1", "y = x"]
    assert slices.needed(cells, 3) == [1, 2, 3]


def test_changes_through_items_and_attributes_count():
    cells = ["d = {}", "d['k'] = 1", "d.name = 2", "d"]
    assert slices.needed(cells, 3) == [0, 1, 2, 3]


def test_widget_calls_are_told_from_other_calls_of_lab():
    code = "lab.quiz('a')\nlab.show(figure, alt='x')\nlab.FederationPanel(train, test)\nlab.predict"
    assert {kind.__name__ for kind in capture.widget_calls(code)} == {"FederationPanel", "Quiz"}


def test_widgets_that_only_python_can_answer_are_known():
    assert capture.needs_kernel(lab.DigitPad)
    assert capture.needs_kernel(lab.ScalePanel)
    assert not capture.needs_kernel(lab.FederationPanel)


def test_capture_shows_what_a_notebook_displays():
    cells = ["from fedcore import lab", "c = lab.LineChart()\nc.add('a', 0, 1)\ndisplay(c)\n1 + 1"]
    notebook = {
        "cells": [{"cell_type": "code", "id": f"c{i}", "source": s} for i, s in enumerate(cells)]
    }
    (made,) = capture.capture(notebook, "small")["c1"]
    assert made["kind"] == "LineChart"
    assert made["state"]["spec"]["lines"][0]["x"] == [0]


# -------------------------------------------------------------------------------------- states


def test_states_are_those_of_the_library_and_repeat(small):
    train, test = small
    make = lambda: lab.FederationPanel(  # noqa: E731
        train, test, show=("epochs", "lr"), n_clients=10, n_rounds=3, batch_size=5
    )
    products = [{"epochs": ["1", "5"], "lr": ["0.1", "1"]}]
    panel = make()
    wanted = states.grid(panel, products)
    assert len(wanted) == 4
    found = [states.record(panel, values) for values in wanted]
    assert [states.record(panel, values) for values in wanted[::-1]] == [
        # a record does not depend on what was recorded before, but for the number of the run
        {**state, "view": {**state["view"], "seq": i}}
        for i, state in enumerate(found[::-1], start=len(wanted) + 1)
    ]
    for values, state in zip(wanted, found, strict=True):
        changes = {
            c.name: c.values[values[c.name]] for c in panel._controls
        }  # the sliders' own values
        run = lab.panel_run(panel._defaults, train, test, **changes)
        assert state["view"]["current"]["accuracy"][1:] == [r.accuracy for r in run]
        assert state["view"]["before"] is None
        assert "Computing" not in [tile["name"] for tile in state["view"]["tiles"]]


def test_idle_knobs_make_no_states_of_their_own(small):
    panel = lab.FederationPanel(*small, show=("split", "alpha"), split="IID", n_clients=5)
    values = states.grid(panel, [{"split": ["IID", "Dirichlet"], "alpha": ["0.1", "1", "10"]}])
    split = panel.controls[0]["texts"]
    assert [split[v["split"]] for v in values].count("IID") == 1
    assert [split[v["split"]] for v in values].count("Dirichlet") == 3


def test_a_value_that_no_slider_has_is_refused(small):
    panel = lab.FederationPanel(*small, show=("epochs",), n_clients=5)
    with pytest.raises(ValueError, match=r"epochs must be one of .*got '7'"):
        states.grid(panel, [{"epochs": ["7"]}])


def test_only_computed_positions_stay_on_the_sliders(small):
    panel = lab.FederationPanel(*small, show=("epochs", "lr"), n_clients=10, n_rounds=2)
    made = states.precomputed(panel, "no such notebook/no such cell", most=2)
    assert list(made["states"]) == ["0", "1"] or len(made["states"]) == 2
    for control in made["state"]["controls"]:
        assert len(control["texts"]) == 2
    assert "Not moved on this page: Learning rate: 0.1." in made["state"]["fixed"]


def test_grids_name_cells_and_values_that_there_are():
    for key in states.GRIDS:
        stem, cell = key.split("/")
        page = Page(f"notebooks/{stem}.ipynb", "lesson")
        source = next("".join(c["source"]) for c in page.notebook["cells"] if c["id"] == cell)
        kinds = capture.widget_calls(source)
        assert any(issubclass(kind, LivePanel) for kind in kinds), key


# --------------------------------------------------------------------------------------- prose


def html(source, name="notebooks/02_fedavg.ipynb"):
    return prose.markdown(source, Links(pages(), name), str)[0]


def test_maths_becomes_mathml_and_keeps_its_source():
    made = html(r"One $\eta$ and $$w = \sum_k \frac{n_k}{n} w_k$$")
    assert made.count("<math") == 2
    assert r'<annotation encoding="application/x-tex">\eta</annotation>' in made
    assert "$" not in made


def test_unknown_maths_is_refused():
    with pytest.raises(ValueError, match="latex2mathml"):
        html(r"$\nosuchcommand{x}$")


def test_links_lead_into_the_site():
    made = html(
        "[a](03_non_iid.ipynb#2.-What) [b](../exercises/02_fedavg/02_fedavg.ipynb) "
        "[c](https://example.org/x) [d](../fedcore/engine.py)"
    )
    assert 'href="03_non_iid.html#2.-What"' in made
    assert 'href="exercise_02_fedavg.html"' in made
    assert 'href="https://example.org/x"' in made
    assert "engine.py" not in made  # has no page: its words stay, as text
    assert "d</p>" in made


def test_headings_have_jupyters_anchors():
    assert '<h2 id="delta-(of-a-model)">' in html("## delta (of a model)")


# --------------------------------------------------------------------------- rendering, search


def test_a_result_waits_for_the_guess():
    state = {"options": ["under 1&nbsp;%", "over"], "label": ""}
    made = render._result("w-x-0", state, "under 1\N{NO-BREAK SPACE}%")
    data = json.loads(made.partition('data-reveal="w-x-0">')[2].partition("</script>")[0])
    assert data == {"prediction": "w-x-0", "result": "under 1\N{NO-BREAK SPACE}%", "choice": 0}
    number = render._result("w-x-0", {"options": []}, "-1,234.5 rounds")
    assert '"value":-1234.5' in number


def test_stored_states_can_be_read_back(tmp_path):
    renderer = render.Renderer(pages()[0], Links(pages(), pages()[0].source), {})
    paths = renderer._store_states("cell", {"0,1": {"view": "<script>"}})
    text = renderer._body.files[paths["0,1"]].decode()
    packed = text.split('"')[3]
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == {"view": "<script>"}


def test_the_index_has_an_entry_a_section():
    found = search.entries(
        "p.html",
        "Page",
        '<h1 id="P">Page</h1><p>one</p><script>no</script>'
        '<h2 id="a">Head <a class="anchor" href="#a">#</a></h2><p>two &amp; three</p>',
    )
    assert [(e["u"], e["h"], e["x"]) for e in found] == [
        ("p.html#P", "Page", "one"),
        ("p.html#a", "Head", "two & three"),
    ]


# --------------------------------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('<a href="b.html#x">', None),
        ('<a href="b.html#y">', "no such anchor"),
        ('<a href="c.html">', "no such page"),
        ('<a href="https://example.org/a">', None),
        ('<a href="https://example">', "not a well-formed address"),
        ('<a href="htp://example.org">', "not a well-formed address"),
        ('<script src="https://example.org/a.js"></script>', "comes from another host"),
        ('<img src="figures/none.png">', "no such file"),
        ('<i id="x"></i><i id="x"></i>', "id 'x' twice"),
    ],
)
def test_links_are_checked(tmp_path, body, wrong):
    (tmp_path / "a.html").write_text(body)
    (tmp_path / "b.html").write_text('<h2 id="x">x</h2>')
    found = links.problems(tmp_path)
    assert (found == []) if wrong is None else (len(found) == 1 and wrong in found[0])
