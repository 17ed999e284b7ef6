"""The network map and the digit pad on the page: by mouse, by keys, and against the kernel."""

import pytest
from playwright.sync_api import expect

from browser.panels import n_bytes, numbers, plain

CELLS = [
    """parts = fc.partition.iid(train.y, n_clients=20, seed=0)
model = fc.models.Softmax(784, 10)
local = fc.LocalSGD(epochs=1, batch_size=50, lr=0.1)
history = fc.run_federation(
    model, train, parts, test, n_rounds=3, fraction=0.2, local=local)
pooling = lab.data_frame([len(part) for part in parts], bytes_per_example=785)
network = lab.NetworkMap([pooling, *history.rounds], n_clients=20)
network""",
    """opinions = {"federation": history.params, "untrained": model.init(0)}
pad = lab.DigitPad(model, opinions, examples=test.take(slice(0, 10)))
pad""",
]


@pytest.fixture(scope="module")
def page_of_map(course):
    """A notebook with a network map of four frames, and a pad."""
    note = course.open(course.write(CELLS))
    note.run_all()
    yield note
    assert note.console == []
    course.close(note)


# ------------------------------------------------------------------------------ network map


@pytest.fixture
def network(page_of_map):
    """The map, at its first frame."""
    root = page_of_map.cell("NetworkMap").locator(".fc-card")
    root.get_by_role("slider").press("Home")
    settle(root)
    return root


def settle(root):
    """Until no packet travels."""
    expect(root.locator(".fc-packets > *")).to_have_count(0)


def test_each_frame_of_the_map_adds_up(network):
    """Bytes of the clients that are marked against the frame's own, and the frame's words."""
    for at in range(4):
        text = plain(network.get_by_role("status").first.inner_text())
        traffic = plain(network.locator(".fc-traffic").inner_text())
        down, up = 0, 0
        active = [k for k in range(20) if is_active(network, k)]
        assert numbers(text)[0] == len(active) == (20 if at == 0 else 4)
        for k in active:
            told = choose(network, k)
            assert told.startswith(f"client {k}: ")
            down += n_bytes(told.split(": ")[1].split(";")[0])
            up += n_bytes(told.split("; ")[1])
        if at:
            assert ", ".join(map(str, active[:-1])) + f" and {active[-1]}" in text
        assert (n_bytes(traffic.split(",")[0]), n_bytes(traffic.split(",")[1])) == pytest.approx(
            (down, up), rel=0.01
        )
        if at < 3:
            network.get_by_role("button", name="Next round").click()
            settle(network)


def dot(network, k):
    """The circle of client k; those of the legend come later."""
    return network.locator(".fc-map .fc-client").nth(k)


def is_active(network, k):
    """Does client k take part in the frame?"""
    return "fc-active" in dot(network, k).get_attribute("class")


def choose(network, k):
    """Click on client k; what the page says of it."""
    dot(network, k).click()
    return plain(network.locator(".fc-who").inner_text())


# Presses Pause as soon as round 1 is on the screen: two seconds later it would be round 2.
PAUSE = """(root) => {
  const round = root.querySelector(".fc-round");
  new MutationObserver((_, observer) => {
    if (round.textContent !== "Round 1") return;
    observer.disconnect();
    [...root.querySelectorAll("button")].find((b) => b.textContent === "Pause").click();
  }).observe(round, { childList: true });
}"""


def test_the_map_plays_to_its_end_and_can_be_paused(network, page_of_map):
    index = lambda i: lambda: page_of_map.kernel("network.index") == i  # noqa: E731
    network.evaluate(PAUSE)
    network.get_by_role("button", name="Play").click()
    expect(network.get_by_role("button", name="Play")).to_be_visible()  # it is Pause meanwhile
    settle(network)
    expect(network.locator(".fc-round")).to_have_text("Round 1")
    page_of_map.until(index(1), "the kernel to know of round 1")
    network.get_by_role("button", name="Play").click()
    expect(network.locator(".fc-round")).to_have_text("Round 3")
    expect(network.get_by_role("button", name="Play")).to_be_visible()
    page_of_map.until(index(3), "the kernel to know of round 3")


def test_keys_on_the_map_choose_a_client_and_not_a_cell(network, page_of_map):
    places = page_of_map.kernel("network.places")
    map_ = network.get_by_role("application")
    choose(network, 0)
    map_.focus()
    for key, axis in (("ArrowDown", 1), ("ArrowRight", 0)):
        before = int(numbers(network.locator(".fc-who").inner_text())[0])
        map_.press(key)
        after = int(numbers(network.locator(".fc-who").inner_text())[0])
        assert places[after][axis] > places[before][axis]
    map_.press("Escape")
    expect(network.locator(".fc-who")).to_contain_text("Choose a client")
    expect(map_).to_be_focused()


# -------------------------------------------------------------------------------- digit pad


@pytest.fixture
def pad(page_of_map):
    """The pad, wiped, read by the first model."""
    root = page_of_map.cell("DigitPad").locator(".fc-card")
    root.get_by_role("radio", name="federation").check()
    root.get_by_role("button", name="Clear").click()
    expect(reading(root)).to_have_text("Draw a digit from 0 to 9.")
    return root


def reading(root):
    """What the model says."""
    return root.locator(".fc-reading")


def agree(root, note):
    """The page's bars are the kernel's probabilities, once the last stroke has been read."""
    shares = root.locator(".fc-share")
    told = lambda: [numbers(text)[0] for text in shares.all_inner_texts()]  # noqa: E731
    computed = "[float(f'{100 * p:.0f}') for p in pad.probabilities.tolist()]"
    note.until(lambda: told() == note.kernel(computed), "the page to show the last answer")
    best = note.kernel("int(pad.probabilities.argmax())")
    assert f"The model reads {best} (" in reading(root).inner_text()


def test_a_stroke_of_the_mouse_is_read(pad, page_of_map):
    box = pad.locator(".fc-pad").bounding_box()
    mouse = page_of_map.page.mouse
    mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 40, steps=8)
    mouse.up()
    expect(reading(pad)).to_contain_text("The model reads")
    ink = "int((pad.image > 0.5).sum())"
    page_of_map.until(lambda: page_of_map.kernel(ink) > 25, "the stroke")
    page_of_map.until(
        lambda: page_of_map.kernel("float(pad.image[:, 14].max())") > 0.5, "a vertical"
    )
    agree(pad, page_of_map)


def test_keys_draw_and_delete_wipes(pad, page_of_map):
    paper = pad.locator(".fc-pad")
    paper.focus()
    for key in ("Shift+ArrowDown",) * 6:
        paper.press(key)
    expect(reading(pad)).to_contain_text("The model reads")
    paper.press("Delete")
    expect(reading(pad)).to_have_text("Draw a digit from 0 to 9.")
    assert page_of_map.kernel("bool(pad.image.any())") is False


def test_a_test_digit_is_read_by_each_model(pad, page_of_map):
    pad.get_by_role("button", name="Try a test digit").click()
    expect(reading(pad)).to_contain_text("; it is a")
    agree(pad, page_of_map)
    first = reading(pad).inner_text()
    pad.get_by_role("radio", name="untrained").check()
    expect(reading(pad)).not_to_have_text(first)
    agree(pad, page_of_map)
