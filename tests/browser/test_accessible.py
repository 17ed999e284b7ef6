"""Every kind of widget, for those who can't see well, can't use a mouse, or can't bear motion."""

from contextlib import nullcontext

import pytest
from playwright.sync_api import expect

from browser.accessible import axe, ring_shows, tab_through, whole

SMALL = "small = train.take(slice(0, 2000)); parts = fc.partition.iid(small.y, 20, seed=0)"
RUN = """model = fc.models.Softmax(784, 10)
few = {"n_rounds": 3, "fraction": 0.3, "progress": False}
history = fc.run_federation(model, small, parts, test, **few)"""
WIDGETS = {
    "progress": 'lab.progress_header("02_fedavg")',
    "choice": 'guess = lab.predict("x/a", "Which one?", ["this", "that", "neither"]); guess',
    "range": 'lab.predict("x/b", "How many?", low=0, high=100, unit="%")',
    "map": "net = lab.NetworkMap(history); net",
    "chart": 'line = lab.LineChart(); line.set("a", [1, 2, 3], [10, 40, 60]); line',
    "figure": 'lab.show(fc.plots.accuracy_curves({"": history}), alt="A curve that rises.")',
    "table": 'lab.table({"phone": {"speed": 1, "wattage": 2}}, "Speeds")',
    "log": "lab.aggregation_log(history.rounds[-1])",
    "glossary": 'lab.glossary("FedAvg")',
    "federation": 'live = lab.FederationPanel(train, test, show=("fraction", "lr", "split")); live',
    "dropout": "drop = lab.DropoutPanel(train, test); drop",
    "attack": "attack = lab.AttackPanel(small, test); attack",
    "privacy": "private = lab.PrivacyPanel(train, test); private",
    "scale": "scales = lab.ScalePanel(aggregation=5e9, requests_per_report=30); scales",
    "pad": 'lab.DigitPad(model, {"a": history.params, "b": model.init()}, examples=small)',
    "skills": "lab.skill_map()",
    "quiz": 'lab.quiz("04_dropouts")',
}
FIGURES = ("figure", "table", "log", "glossary")
INTERACTIVE = [name for name in WIDGETS if name not in (*FIGURES, "progress")]


@pytest.fixture(scope="module")
def gallery(course):
    """One page with every kind of widget."""
    note = course.open(course.write([SMALL, RUN, *WIDGETS.values()]), height=1400)
    note.run_all()
    with whole(note):
        yield note
    course.close(note)


def widget(note, name):
    """The root of that widget, scrolled to."""
    box = note.cell(WIDGETS[name]).locator(".fc-out" if name in FIGURES else ".fc").first
    box.scroll_into_view_if_needed()
    return box


def look(note, theme):
    return note.dark() if theme == "dark" else nullcontext()


# ------------------------------------------------------------------------- every kind of widget


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_grave_in_a_widget(gallery, theme):
    with look(gallery, theme):
        assert axe(gallery.page)[0] == []


def test_axe_finds_what_is_planted(open_cells):
    """A picture without its text, a control without a name: or the tests above prove nothing."""
    note = open_cells([SMALL, 'lab.glossary("FedAvg")'])
    note.cell("lab.glossary(").locator(".fc-box").evaluate(
        '(box) => { box.innerHTML += \'<img src="data:,"><input><p style="color: #aaa">pale</p>\' }'
    )
    found = "\n".join(axe(note.page)[0])
    for rule in ("image-alt", "label", "color-contrast"):
        assert rule in found


@pytest.mark.parametrize("name", [*INTERACTIVE, *FIGURES])
def test_tab_reaches_every_control_in_order_and_leaves(gallery, name):
    root = widget(gallery, name)
    count, seen = tab_through(gallery.page, root)
    assert count > 0
    assert [focus["stop"] for focus in seen] == [*range(count), None], seen
    assert [focus["what"] for focus in seen[:-1] if not ring_shows(focus)] == []


@pytest.mark.parametrize("name", INTERACTIVE)
def test_arrow_keys_move_sliders_and_choices(gallery, name):
    """And JupyterLab, which has uses of its own for them, leaves them alone."""
    page, root = gallery.page, widget(gallery, name)
    for slider in root.locator("input[type=range]:not(:disabled)").all():
        if name == "dropout" and slider.evaluate("(s) => s.closest('[data-name]') === null"):
            panel = gallery.cell(WIDGETS[name]).locator(".fc-panel")  # a run moves its own time
            expect(panel).to_have_attribute("data-phase", "done", timeout=120_000)
        before = slider.input_value()
        first, then = (
            ("ArrowLeft", "ArrowRight")
            if before == slider.get_attribute("max")
            else ("ArrowRight", "ArrowLeft")
        )
        if slider.get_attribute("max") == slider.get_attribute("min"):
            continue
        slider.press(first)
        assert slider.input_value() != before, slider
        slider.press(then)
        assert slider.input_value() == before
    for group in root.locator(".fc-segments").all():
        on = group.locator("input:checked")
        value = on.input_value()
        on.press("ArrowRight")
        expect(group.locator("input:checked")).not_to_have_value(value)
        page.keyboard.press("ArrowLeft")
        expect(group.locator("input:checked")).to_have_value(value)


@pytest.mark.parametrize(
    ("name", "variable"),
    [("federation", "live"), ("attack", "attack"), ("privacy", "private"), ("dropout", "drop")],
)
@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_enter_and_space_press_buttons(gallery, name, variable, key):
    number = f"{variable}.request['seq']"
    before = gallery.kernel(number)
    widget(gallery, name).get_by_role("button", name="Reset").press(key)
    gallery.until(lambda: gallery.kernel(number) > before, f"{key} to press Reset")


def test_a_button_that_is_switched_off_keeps_the_focus(gallery):
    """And does nothing when it is pressed again: the next key must not go to JupyterLab."""
    root = gallery.cell(WIDGETS["federation"]).locator(".fc-panel")
    expect(root).to_have_attribute("data-phase", "done", timeout=120_000)
    number = gallery.kernel("live.request['seq']")
    again, stop = (root.get_by_role("button", name=name) for name in ("Run again", "Stop"))
    again.press("Enter")  # which switches it off until the run has ended
    expect(root).to_have_attribute("data-phase", "done", timeout=120_000)
    expect(again).to_be_focused()
    expect(stop).to_be_disabled()
    for key in ("Enter", "Space"):
        stop.press(key)
    assert gallery.kernel("live.request['seq']") == number + 1


def test_a_right_answer_keeps_the_focus(gallery):
    item = widget(gallery, "quiz").locator(".fc-quiz-item:has(input[type=text])").first
    field, check = item.get_by_role("textbox"), item.get_by_role("button", name="Check")
    field.fill("0.75")
    field.press("Enter")
    expect(check).to_be_disabled()
    expect(check).to_be_focused()


@pytest.mark.parametrize("name", ["map", "dropout"])
def test_devices_of_a_map_are_chosen_with_arrow_keys(gallery, name):
    root = widget(gallery, name)
    field = root.get_by_role("application")
    told = root.locator(".fc-who") if name == "map" else root.locator(".fcd-about").first
    before = told.text_content()
    field.press("ArrowRight")
    expect(told).not_to_have_text(before)
    expect(root.locator("circle.fc-chosen")).to_be_visible()


def test_a_chart_is_read_with_arrow_keys(gallery):
    root = widget(gallery, "chart")
    chart = root.get_by_role("group", name="Chart.")
    chart.press("ArrowRight")
    expect(root.locator(".fc-readout")).to_have_text("round 1: a 10")
    chart.press("End")
    expect(root.locator(".fc-readout")).to_have_text("round 3: a 60")


def test_a_mouse_that_leaves_a_chart_takes_nothing_from_the_keys(gallery):
    root = widget(gallery, "chart")
    root.locator(".fc-plot").hover()
    expect(root.locator(".fc-readout")).to_contain_text("round ")
    root.get_by_role("group", name="Chart.").press("End")
    gallery.page.mouse.move(0, 0)
    expect(root.locator(".fc-readout")).to_have_text("round 3: a 60")


def test_a_chart_says_what_it_shows_now(gallery):
    root = widget(gallery, "chart")
    picture = root.get_by_role("img")
    expect(picture).to_have_accessible_name("test accuracy against round. a: 10 at 1, 60 at 3.")
    gallery.kernel('line.add("a", 4, 80)')
    expect(picture).to_have_accessible_name("test accuracy against round. a: 10 at 1, 80 at 4.")


def test_a_digit_is_drawn_with_the_keyboard(gallery):
    root = widget(gallery, "pad")
    reading = root.locator(".fc-reading")
    before = reading.text_content()
    for _ in range(6):
        root.get_by_role("application").press("Shift+ArrowDown")
    expect(reading).not_to_have_text(before)
    root.get_by_role("application").press("Delete")
    expect(reading).to_have_text(before)


def test_a_quiz_is_answered_with_the_keyboard(gallery):
    item = widget(gallery, "quiz").locator(".fc-quiz-item").first
    item.get_by_role("radio").first.press("Space")
    item.get_by_role("button", name="Check").press("Enter")
    expect(item.get_by_role("status")).to_contain_text(
        "Right" if gallery.kernel("1") is None else ""
    )
    expect(item.locator(".fc-feedback b")).to_be_visible()


# ------------------------------------------------------------------------------------ motion

# Counts the moments in which a packet, on its way between server and device, can be seen.
WATCH = """(root) => {
  root.moves = 0;
  const packets = ".fc-packets > *, .fcd-packet";
  root.watcher = new MutationObserver((changes) => {
    for (const { target } of changes) {
      const seen = target.getAttribute("visibility") === "visible";
      if (seen && target.matches(packets)) root.moves += 1;
    }
  });
  root.watcher.observe(root, { subtree: true, attributes: true, attributeFilter: ["transform"] });
}"""
MOTION = [SMALL, RUN, WIDGETS["map"], WIDGETS["dropout"]]


@pytest.fixture(scope="module", params=["no-preference", "reduce"])
def moving(request, course):
    note = course.open(course.write(MOTION), reduced_motion=request.param)
    note.run_all()
    yield note, request.param
    course.close(note)


@pytest.mark.parametrize("name", ["map", "dropout"])
def test_nothing_moves_for_whoever_wants_no_motion(moving, name):
    """Played, the rounds follow each other; packets travel only where motion is welcome."""
    note, wish = moving
    root = widget(note, name)
    play = root.get_by_role("button", name="Play", exact=False)
    shown = root.get_by_role("slider", name="Round shown")
    note.until(lambda: int(shown.get_attribute("max")) >= 2, "three rounds to play")
    root.evaluate(WATCH)
    play.click()
    note.until(lambda: int(shown.input_value()) >= 2, "the third round")
    moves = root.evaluate("(root) => { root.watcher.disconnect(); return root.moves; }")
    shown.press("Home")  # which pauses; a map of three rounds may be at its end already
    assert (moves > 0) == (wish == "no-preference"), moves
    assert note.page.evaluate("() => document.querySelectorAll('.fc').length") > 0
    running = (
        "() => document.getAnimations().filter((a) => a.effect?.target?.closest('.fc')).length"
    )
    assert note.page.evaluate(running) == 0
