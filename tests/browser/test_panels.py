"""Every live panel of the course: its controls, by mouse and by keys, and its figures.

All panels stand in one notebook with the defaults of their lessons; each test leaves them usable.
"""

import pytest
from playwright.sync_api import expect

from browser.panels import CELLS, MORE, Panel, n_bytes, numbers, plain

PANELS = CELLS | MORE
FEDERATIONS = ("fedavg", "skew", *MORE)


@pytest.fixture
def panel(page_of_panels, request):
    """The panel that the parameter names, at its defaults, its run ended."""
    panel = Panel(page_of_panels, request.param)
    panel.settled()
    if panel.ask("p.settings != p._defaults"):
        panel.press("Reset")
    assert panel.settled() == "done"
    yield panel
    assert page_of_panels.console == []
    assert page_of_panels.errors() == []
    assert page_of_panels.requests_outside == []


def only(*names):
    """Run the test on these panels."""
    return pytest.mark.parametrize("panel", names, indirect=True)


every_panel = only(*CELLS)
ACTIVE = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"


# -------------------------------------------------------------------------------- controls


@only(*PANELS)
def test_sliders_go_to_both_extremes_and_back(panel):
    """By keyboard. The kernel answers for just that setting; back, everything is as it was."""
    shown, controls = panel.lasting(), panel.ask("{c['name']: c['texts'] for c in p.controls}")
    for name, slider in panel.sliders().items():
        start = int(slider.input_value())
        for key, place in (("End", -1), ("Home", 0)):
            slider.press(key)
            assert panel.answered() != "failed", panel.status()
            assert slider.get_attribute("aria-valuetext") == controls[name][place]
            beside = panel.root.locator(f".fc-stops[data-name={name}] output")
            assert beside.inner_text() == controls[name][place]
            control = f"next(c for c in p._controls if c.name == {name!r})"
            assert panel.ask(f"p.settings.{name} == {control}.values[{place}]")
        panel.put(name, start)
    assert panel.settled() == "done"
    assert panel.lasting() == shown


@only("fedavg", "skew", "attack", "dropout")
def test_each_choice_can_be_made_with_the_arrow_keys(panel):
    shown = panel.lasting()
    for name, row in panel.choices().items():
        buttons = row.get_by_role("radio")
        start = int(row.locator("input:checked").get_attribute("value"))
        for step in range(1, buttons.count() + 1):
            row.locator("input:checked").press("ArrowRight")
            assert panel.answered() != "failed", panel.status()
            now = int(row.locator("input:checked").get_attribute("value"))
            assert now == (start + step) % buttons.count()
            assert panel.ask(f"p.request['values'][{name!r}]") == now
    assert panel.settled() == "done"
    assert panel.lasting() == shown


@every_panel
def test_a_key_on_a_slider_moves_one_stop_and_not_the_notebook(panel):
    name, slider = next(iter(panel.sliders().items()))
    slider.focus()
    start, cell = int(slider.input_value()), panel.note.page.evaluate(ACTIVE)
    there, back = ("ArrowLeft", "ArrowRight") if start else ("ArrowRight", "ArrowLeft")
    for key, position in ((there, start - 1 if start else 1), (back, start)):
        slider.press(key)
        assert int(slider.input_value()) == position
        panel.note.until(
            lambda at=position: panel.ask(f"p.request['values'][{name!r}]") == at, "the kernel"
        )
    expect(slider).to_be_focused()
    assert panel.note.page.evaluate(ACTIVE) == cell
    assert panel.settled() == "done"


@only("skew")
def test_a_knob_that_does_nothing_is_switched_off(panel):
    for split, on in (("IID", set()), ("shards", {"shards_per_client"}), ("Dirichlet", {"alpha"})):
        panel.choices()["split"].get_by_role("radio", name=split, exact=True).check()
        assert panel.answered() != "failed"
        assert {"alpha", "shards_per_client"} & set(panel.sliders()) == on


# -------------------------------------------------------------------------------- buttons


@only("fedavg", "skew", "privacy")
def test_stop_keeps_what_there_is_and_run_again_goes_on(panel):
    with panel.endless():
        panel.slider("n_rounds" if panel.name == "privacy" else "epochs").press("End")
        panel.wait("running")
        expect(panel.button("Run again")).to_be_disabled()
        panel.press("Stop")
        assert panel.settled() == "stopped"
        assert panel.status().startswith("Stopped by you")
        expect(panel.button("Stop")).to_be_disabled()
        no_run_is_left(panel)
        shown = panel.tiles()
        panel.press("Run again")
        panel.wait("running")
    panel.press("Reset")
    assert panel.settled() == "done"
    assert panel.ask("p.settings == p._defaults")
    assert panel.positions() == panel.ask("p.defaults")
    assert panel.tiles() != shown


def no_run_is_left(panel):
    """Until no thread trains: an obsolete run ends when the client being trained is done."""
    threads = "[t.name for t in __import__('threading').enumerate()].count('federation')"
    panel.note.until(lambda: panel.note.kernel(threads) == 0, "the threads of old runs to end")


@only(*PANELS)
def test_clicks_in_the_middle_of_a_run_leave_one_run_that_of_the_last(panel):
    """Reset, and a move before Python has answered it: what is shown is what the slider says."""
    name, slider = next(iter(panel.sliders().items()))
    slider.press("End")
    panel.press("Reset")
    panel.press("Reset")
    slider.press("ArrowRight")
    assert panel.settled() != "failed"
    no_run_is_left(panel)
    assert panel.positions() == panel.ask("p.request['values']")
    assert panel.positions()[name] == panel.ask(f"p.defaults[{name!r}]") + 1
    assert panel.ask("p.view['seq'] == p.request['seq']")
    assert panel.ask("p._result.settings == p.settings")


# ------------------------------------------------------------------ the figures on the page


@only(*FEDERATIONS)
def test_a_federation_shows_one_run_in_all_its_figures(panel):
    tiles, status = panel.tiles(), panel.status()
    records = panel.ask(
        "[(r.accuracy, r.bytes_up, r.bytes_down, r.clients) for r in lab.panel_run("
        "p.settings, train, test)]"
    )
    target_accuracy = panel.ask("p.target")
    accuracy, up, down, _ = (list(column) for column in zip(*records, strict=True))
    assert tiles["Test accuracy"] == f"{100 * accuracy[-1]:.1f} %"
    assert n_bytes(tiles["Sent up"]) == pytest.approx(sum(up), rel=0.005)
    assert n_bytes(tiles["Sent down"]) == pytest.approx(sum(down), rel=0.005)
    for value in (tiles["Test accuracy"], tiles["Sent up"], tiles["Sent down"]):
        assert value in status
    assert f"after {len(records)} rounds" in status
    chart = panel.root.locator(".fc-plot").first
    assert f"to {tiles['Test accuracy']} after {len(records)} rounds" in plain(
        chart.get_attribute("aria-label")
    )
    assert plain(chart.locator(".fc-end.fc-look-1").text_content()) == tiles["Test accuracy"]
    target = next((v for k, v in tiles.items() if k.startswith("Rounds to")), None)
    reached = next((i for i, a in enumerate(accuracy, 1) if a >= target_accuracy), None)
    assert target == (str(reached) if reached else f"> {len(records)}")


@only(*FEDERATIONS)
def test_the_chart_is_read_with_the_arrow_keys(panel):
    """Each round's value in the readout is that of the plain function."""
    chart = panel.root.locator(".fc-chart")
    chart.focus()
    accuracy = panel.ask("p.view['current']['accuracy']")
    chart.press("Home")
    for i in (0, 1, 2):
        said = plain(panel.root.locator(".fc-readout").inner_text())
        assert said.startswith(f"round {i}: this run {100 * accuracy[i]:.1f} %")
        chart.press("ArrowRight")
    chart.press("End")
    said = plain(panel.root.locator(".fc-readout").inner_text())
    assert f"round {len(accuracy) - 1}: this run {panel.tiles()['Test accuracy']}" in said


def earned(panel):
    """{what: XP} that the learner has."""
    return panel.note.kernel("{e.key: e.points for e in lab.progress.earned()}")


def challenged(panel):
    """Wait for the run; what the challenge says of it, checked against the plain function."""
    assert panel.settled() == "done"
    told = panel.status().partition("Challenge: ")[2]
    accuracy, up = panel.ask(
        "(lambda runs: ([r.accuracy for r in runs], sum(r.bytes_up for r in runs)))("
        "list(lab.panel_run(p.settings, train, test, strategies=SERVERS)))"
    )
    mean = sum(accuracy[-10:]) / 10
    points = 0 if up > 20e6 else int(10 * min(1, max(0, (mean - 0.70) / 0.16)))
    assert told.startswith(f"mean of the last 10 rounds {100 * mean:.1f} %, ")
    assert n_bytes(told.split("%, ")[1]) == pytest.approx(up, rel=0.005)
    assert ("over the budget" in told) == (up > 20e6)
    assert f": {points} of 10 points." in told
    return points, told


@only("challenge")
def test_the_challenge_pays_for_the_best_finished_run_within_its_budget(panel):
    key = "challenge/03-beat-the-skew"
    panel.note.kernel("lab.progress.clear()")  # other tests have moved this panel too
    panel.press("Reset")
    first, _ = challenged(panel)
    assert earned(panel).get(key, 0) == first
    panel.choices()["strategy"].get_by_role("radio", name="SCAFFOLD", exact=True).check()
    better, _ = challenged(panel)
    assert first < better
    xp = earned(panel)
    assert xp[key] == better
    panel.slider("fraction").press("ArrowRight")  # SCAFFOLD sends twice as much
    dear, told = challenged(panel)
    assert (dear, "over the budget" in told) == (0, True)
    assert f"Your best: {better}." in told
    panel.press("Reset")  # a worse run takes nothing away
    assert challenged(panel)[0] == first
    assert earned(panel) == xp
    with panel.endless():
        panel.slider("epochs").press("End")
        panel.wait("running")
        panel.press("Stop")
    assert panel.settled() == "stopped"
    assert "Challenge" not in panel.status()
    assert earned(panel) == xp


@only("skew")
def test_the_clients_marked_are_those_of_the_last_round(panel):
    record = panel.ask(
        "[r.clients for r in lab.panel_run(p.settings, train, test, strategies=SERVERS)][-1]"
    )
    marks = panel.root.locator(".fc-map-mark").all()
    assert len(marks) == len(record)
    words = panel.texts(".fc-holdings .fc-note")[0]
    sizes = panel.ask("[sum(c) for c in p._result.held.counts.tolist()]")
    assert numbers(words)[:3] == [len(sizes), min(sizes), max(sizes)]
    assert sum(sizes) == panel.note.kernel("len(train)")


@only("attack")
def test_the_attack_shows_as_many_digits_as_it_tells(panel):
    panel.put("batch_size", 2)
    panel.settled()
    labels = panel.texts(".fc-attack-pair .fc-note")
    assert len(labels) == 4
    alternative = plain(panel.root.locator(".fc-attack-grid").get_attribute("aria-label"))
    for label in labels:
        assert f"a {label}" in alternative
    scores = panel.ask("p.result.psnr.tolist()")
    assert panel.tiles()["PSNR"] == (
        "> 100 dB" if (mean := sum(scores) / 4) > 100 else f"{mean:.0f} dB"
    )
    assert "4 digits of the first of 1 client" in panel.status()


@only("privacy")
def test_epsilon_falls_when_the_noise_grows(panel):
    """The accountant's bound on the page, in its tile and in its sentence."""
    at_one = float(panel.tiles()["\N{GREEK SMALL LETTER EPSILON} at most"])
    assert f"at most {at_one:g}" in panel.status()
    position = panel.ask("next(c for c in p._controls if c.name == 'noise_multiplier').position(2)")
    panel.put("noise_multiplier", position)
    assert panel.settled() == "done"
    at_two = float(panel.tiles()["\N{GREEK SMALL LETTER EPSILON} at most"])
    assert at_two < at_one
    assert f"at most {at_two:g}" in panel.status()
    assert panel.root.locator(".fc-pictures canvas").count() == 2
