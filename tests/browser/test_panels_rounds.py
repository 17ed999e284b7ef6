"""The drop-out panel on the page: four views of one round that reconcile, playing, share codes."""

import re

import pytest
from playwright.sync_api import expect

from browser.panels import Panel, n_bytes, numbers

N_ROUNDS = 6
CELLS = [
    f"dropout = lab.DropoutPanel(train, test, n_rounds={N_ROUNDS})\ndropout",
    f"other = lab.DropoutPanel(train, test, n_rounds={N_ROUNDS}, title='Other')\nother",
    "far = lab.DropoutPanel(train, test, n_rounds=7, title='Far')\nfar",
]
CLIPBOARD = ["clipboard-read", "clipboard-write"]

# What the page shows of a round, in one look.
LOOK = """(root) => {
  const plain = (text) => text.replaceAll("\\u00a0", " ").replaceAll("\\u2212", "-").trim();
  const text = (node) => plain(node.textContent);
  const all = (css, from = root) => [...from.querySelectorAll(css)];
  const box = (label) => root.querySelector(`[aria-label="${label}"]`);
  const total = (label) => text(box(label).parentNode.querySelector(".fcd-total"));
  const cells = (row) => [...row.children].map(text);
  const mean = box("Arithmetic of the weighted mean");
  return {
    devices: all(".fcd-hit").map((hit) => ({
      state: hit.parentNode.dataset.state, title: text(hit.querySelector("title")) })),
    server: all("li", box("Server log")).map((row) => ({
      kind: row.dataset.kind, text: text(row.lastChild), t: text(row.firstChild),
      told: !row.classList.contains("fcd-future") })),
    server_total: total("Server log"),
    device_about: text(box("Device log").parentNode.querySelector(".fcd-about")),
    device_total: total("Device log"),
    mean: all("tbody tr", mean).map(cells),
    mean_sum: all("tfoot tr", mean).map(cells)[0] ?? [],
    mean_total: total("Arithmetic of the weighted mean"),
    table: all(".fcd-details tbody tr").map(cells),
    round: text(root.querySelector(".fcd-round-text")),
    ranges: all(".fcd-range output").map(text),
    names: all(".fc-tile-name").map(text), values: all(".fc-big").map(text),
    notes: all(".fc-before").map(text),
    accuracy: text(root.querySelector(".fc-end.fc-look-1") ?? root),
  };
}"""
DEVICE = re.compile(r"Device (\d+)")
WORK = ("used", "unused", "late", "died")  # how a device that was asked can end


@pytest.fixture(scope="module")
def page_of_rounds(course):
    """Three drop-out panels: two alike, one of another length."""
    note = course.open(course.write(CELLS), permissions=CLIPBOARD)
    note.run_all()
    yield note
    course.close(note)


@pytest.fixture
def panel(page_of_rounds):
    """The first panel at its defaults, its rounds done, the first one shown."""
    panel = get(page_of_rounds, "dropout")
    panel.press("Reset")
    panel.settled()
    yield panel
    assert page_of_rounds.console == []
    assert page_of_rounds.errors() == []


def get(note, name):
    """A panel of the page, its run ended."""
    panel = Panel(note, name)
    panel.settled()
    return panel


def look(panel):
    """What the page shows of the round."""
    return panel.root.evaluate(LOOK)


def go(panel, index):
    """Show round ``index``, from 1, as it ended."""
    panel.root.get_by_role("slider", name="Round shown").fill(str(index - 1))
    expect(panel.root.locator(".fcd-round-text")).to_contain_text(f"Round {index}:")


def open_table(panel):
    """Unfold the round as a table."""
    details = panel.root.locator(".fcd-details")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    expect(details.locator("tbody tr")).not_to_have_count(0)  # it is filled a moment later


def ids(lines):
    """The devices that these lines name."""
    return sorted(int(DEVICE.search(line)[1]) for line in lines)


# ------------------------------------------------------------------------- one round, four views


def test_the_views_show_the_same_devices_and_weights_that_sum_to_one(panel):
    open_table(panel)
    for index in range(1, N_ROUNDS + 1):
        go(panel, index)
        shown = look(panel)
        asked = [d["title"] for d in shown["devices"] if d["state"] in WORK]
        used = [d["title"] for d in shown["devices"] if d["state"] == "used"]
        wanted = numbers(shown["server"][0]["text"])
        assert len(asked) == wanted[2]
        assert ids(asked) == sorted(int(row[0]) for row in shown["mean"])
        assert ids(asked) == sorted(int(row[0]) for row in shown["table"])
        entered = [line["text"] for line in shown["server"] if line["kind"] == "used"]
        assert ids(used) == ids(entered)
        averaged = {int(row[0]): float(row[3]) for row in shown["mean"] if row[5] != "\u2013"}
        assert ids(used) == sorted(averaged)
        assert f"{len(used)} report" in shown["server_total"]
        for line in (*entered, *used):
            assert numbers(line)[-1] == pytest.approx(averaged[ids([line])[0]], abs=6e-5)
        for row in shown["table"]:
            assert float(row[7]) == pytest.approx(averaged.get(int(row[0]), 0), abs=6e-5)
        if used:
            assert sum(averaged.values()) == pytest.approx(1, abs=5e-5 * len(averaged) + 1e-9)
            assert shown["mean_sum"][3] == "1.0000"
            parts = [float(row[5]) for row in shown["mean"] if row[5] != "\u2013"]
            assert sum(parts) == pytest.approx(float(shown["mean_sum"][5]), abs=1e-6 * len(parts))
            assert f"now holds {shown['mean_sum'][5]}" in shown["mean_total"]
        assert [d["state"] for d in shown["devices"]].count("ineligible") == numbers(
            shown["round"].split(":", 1)[1]
        )[0]


def test_bytes_seconds_and_energy_add_up(panel):
    open_table(panel)
    sent = 0
    for index in range(1, N_ROUNDS + 1):
        go(panel, index)
        shown = look(panel)
        down, up = (sum(n_bytes(row[i]) for row in shown["table"]) for i in (2, 3))
        told = re.match(r"Sent (.*), received (.*); .*; (.*) s\.", shown["server_total"])
        assert down == pytest.approx(n_bytes(told[1]), rel=0.01)
        assert up == pytest.approx(n_bytes(told[2]), rel=0.01)
        moment = numbers(shown["ranges"][1])
        assert moment[-1] == moment[0] == float(told[3])
        assert shown["server"][-1]["t"] == f"{told[3]} s"
        sent += down + up
        tiles = dict(
            zip(shown["names"], zip(shown["values"], shown["notes"], strict=True), strict=True)
        )
        assert n_bytes(tiles["Sent"][0]) == pytest.approx(sent, rel=0.01)
        joules = sum(float(row[5].split()[0]) for row in shown["table"])
        value, unit = tiles["Energy"][1].split()[:2]
        assert float(value) * {"J": 1, "kJ": 1000}[unit] == pytest.approx(joules, rel=0.01)
        accuracy = next(line["text"] for line in shown["server"] if line["kind"] == "evaluated")
        assert tiles["All test digits"][0] in accuracy
    assert shown["accuracy"] == tiles["All test digits"][0]


def test_each_device_that_was_asked_tells_what_the_table_says(panel):
    open_table(panel)
    rows = look(panel)["table"]
    assert len(rows) > 5
    for device, outcome, down, up, seconds, joules, battery, _ in rows:
        panel.root.get_by_label("device", exact=True).select_option(device)
        shown = look(panel)
        spent = f"Spent {seconds}, {down} down, {up} up, {joules}"
        assert shown["device_total"].startswith(spent)
        assert battery == "on mains" or f"battery {battery}" in shown["device_total"]
        assert shown["device_about"].startswith(f"Device {device}: ")
        assert outcome in shown["device_about"] or "in the mean" in shown["device_about"]


def test_in_the_middle_of_a_round_no_view_knows_the_end(panel):
    panel.root.get_by_role("slider", name="Moment in it").fill("500")
    shown = look(panel)
    arrived = [
        line["text"] for line in shown["server"] if line["told"] and line["kind"] == "uploaded"
    ]
    on_map = [d["title"] for d in shown["devices"] if d["state"] == "arrived"]
    assert ids(on_map) == ids(arrived) != []
    assert not any(
        line["told"] for line in shown["server"] if line["kind"] in ("used", "evaluated")
    )
    assert "used" not in {d["state"] for d in shown["devices"]}
    assert "under way" in shown["round"]
    expect(panel.root.locator(".fcd-mean tfoot")).to_be_hidden()


# --------------------------------------------------------------------------------- a device


def chosen(panel):
    """The device that each view marks: device log, server log, mean."""
    log = panel.root.get_by_label("device", exact=True).input_value()
    server = panel.root.locator(".fcd-log li.fcd-chosen").all_inner_texts()
    mean = panel.root.locator(".fcd-mean tr.fcd-chosen").evaluate_all(
        "rows => rows.map(r => r.dataset.id)"
    )
    return {int(log)}, set(ids(server)), {int(k) for k in mean}


def test_a_click_on_a_device_marks_it_in_every_view(panel):
    states = [d["state"] for d in look(panel)["devices"]]
    for state in ("used", "late" if "late" in states else "used"):
        device = states.index(state)
        panel.root.locator(".fcd-hit").nth(device).click()
        assert chosen(panel) == ({device}, {device}, {device})
    panel.root.locator(".fcd-mean tbody tr").last.click()
    last = int(panel.root.locator(".fcd-mean tbody tr").last.get_attribute("data-id"))
    assert chosen(panel)[0] == {last}
    device = states.index("ineligible")
    panel.root.locator(".fcd-hit").nth(device).click()
    assert chosen(panel) == ({device}, set(), set())


def test_arrow_keys_walk_on_the_map(panel):
    places = panel.ask("p.places")
    map_ = panel.root.get_by_role("application")
    panel.root.locator(".fcd-hit").nth(0).click()
    map_.focus()
    at = [0]
    for key in ("ArrowDown", "ArrowRight", "End", "Home"):
        map_.press(key)
        at += chosen(panel)[0]
    assert places[at[1]][1] > places[at[0]][1]
    assert places[at[2]][0] > places[at[1]][0]
    assert at[3:] == [len(places) - 1, 0]


# --------------------------------------------------------------------------------- playing


def index(panel):
    """The round shown, from 1."""
    return int(numbers(panel.root.locator(".fcd-range output").first.inner_text())[0])


def moment(panel):
    """The position of the slider of the moment."""
    return int(panel.root.get_by_role("slider", name="Moment in it").input_value())


FRAMES = """(n) => new Promise((ok) => {
  const step = () => (n-- ? requestAnimationFrame(step) : ok());
  step();
})"""


def test_play_goes_through_the_rounds_and_pause_holds(panel):
    play = panel.root.get_by_role("button", name="Play")
    pause = panel.root.get_by_role("button", name="Pause")
    pace = panel.root.get_by_label("Pace")
    pace.select_option("slow")
    play.click()
    panel.note.until(lambda: 0 < moment(panel) < 1000, "the first round to play")
    pause.click()
    held = (index(panel), moment(panel))
    panel.note.page.evaluate(FRAMES, 20)
    assert (index(panel), moment(panel)) == held
    pace.select_option("fast")
    play.click()
    panel.note.until(lambda: index(panel) == N_ROUNDS, "the last round to play")
    expect(play).to_be_visible()  # it stops at the end
    assert moment(panel) == 1000
    pace.select_option("slow")
    play.click()  # and begins anew
    panel.note.until(lambda: index(panel) == 1, "the first round again")
    panel.press("Reset")  # in the middle of playing
    panel.settled()
    pause.click()
    pace.select_option("fast")


def test_a_step_plays_one_round_and_back_shows_the_one_before(panel):
    panel.root.get_by_role("button", name="Step: next round").click()
    expect(panel.root.locator(".fcd-round-text")).to_contain_text("Round 2")
    panel.note.until(lambda: moment(panel) == 1000, "the round to end")
    panel.root.get_by_role("button", name="Round before").click()
    expect(panel.root.locator(".fcd-round-text")).to_contain_text("Round 1: ")
    expect(panel.root.get_by_role("button", name="Round before")).to_be_disabled()


SPEED = """(root) => new Promise((ok) => {
  const slider = root.querySelectorAll(".fcd-range input")[1];
  const [steps, begin] = [[], performance.now()];
  let [at, last] = [Number(slider.value), begin];
  const tick = (now) => {
    const value = Number(slider.value);
    if (value > at) steps.push((value - at) / Math.min(250, now - last)); // no frame plays more
    [at, last] = [value, now];
    if (steps.length < 12 && now - begin < 20000) return requestAnimationFrame(tick);
    steps.sort((a, b) => a - b);
    ok(steps[Math.floor(steps.length / 2)]);
  };
  requestAnimationFrame(tick);
})"""


def test_a_faster_pace_moves_a_round_faster(panel):
    """The slider's way in a frame over the frame's length: nothing that a busy machine changes."""
    speeds = []
    for pace in ("slow", "normal", "fast"):
        panel.root.get_by_label("Pace").select_option(pace)
        go(panel, 1)
        panel.root.get_by_role("button", name="Play").click()
        speeds.append(panel.root.evaluate(SPEED))
        go(panel, 1)
    assert speeds[1] > 1.5 * speeds[0]
    assert speeds[2] > 2 * speeds[1]


# ------------------------------------------------------------------------------ share codes


def test_a_code_is_copied_here_and_used_there(panel):
    panel.put("window", 2)
    panel.put("seed", 3)
    panel.choices()["weighting"].get_by_role("radio", name="importance").check()
    panel.settled()
    panel.press("Copy")
    expect(panel.root.locator(".fcd-share .fc-note")).to_have_text("Copied.")
    there = get(panel.note, "other")
    field = there.root.get_by_label("Share code")
    field.click()
    field.press("Control+a")
    field.press("Control+v")
    expect(field).to_have_value(panel.ask("p.code"))
    field.press("Enter")
    note = there.root.locator(".fcd-share .fc-note")
    expect(note).to_have_text("The sliders stand where the code says.")
    there.settled()
    assert there.positions() == panel.positions()
    assert there.lasting() == panel.lasting()
    there.press("Reset")  # the words belong to the code, and go with it
    expect(note).to_have_text("")
    there.settled()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda code: code[:-1] + ("2" if code[-1] != "2" else "3"), "typing error"),
        (lambda code: code[:5], "not a whole code"),
        (lambda code: "???", "can't be in one"),
        (lambda code: "", "paste one first"),
        (None, "other sliders, settings or data"),
    ],
)
def test_a_wrong_code_is_refused_and_nothing_moves(panel, change, told):
    code = get(panel.note, "far").ask("p.code") if change is None else change(panel.ask("p.code"))
    before, request = panel.positions(), panel.ask("p.request['seq']")
    field = panel.root.get_by_label("Share code")
    field.fill(code)
    panel.press("Use")
    expect(panel.root.locator(".fcd-share .fc-note")).to_contain_text(told)
    assert panel.positions() == before
    assert panel.ask("p.request['seq']") == request
