"""The static site in a real browser, from the disk: no server, no kernel, no other host."""

import itertools
import json
import random
import re

import nbformat
import pytest

pytest.importorskip("latex2mathml", reason="make site: pip install '.[site]'")

from playwright.sync_api import expect
from static_site import links
from static_site.build import build
from static_site.course import ROOT, pages
from static_site.quizzes import marking_key

from browser.accessible import COLORS, axe
from fedcore.lab import marking, quiz_file
from fedcore.lab.style import rich

PAGES = [page.href for page in pages()] + ["index.html", "search.html", "licences.html"]
ONE_OF_EACH = ["02_fedavg", "04_dropouts", "exercise_01_model_to_data", "glossary"]
ONE_OF_EACH += ["index", "search", "licences"]
PANELS = {  # page: the widget's cell, what is drawn of its state
    "00_start_here.html": ("federation-panel", ".fc-status"),
    "03_non_iid.html": ("panel", ".fc-status"),
    "04_dropouts.html": ("panel", ".fc-status"),
    "05_inference_attacks.html": ("c85", ".fc-status"),
    "06_privacy.html": ("panel", ".fc-status"),
}
LIMIT = 60_000  # ms, for what takes a moment on an idle machine


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of a site with two states of each panel."""
    folder = tmp_path_factory.mktemp("site")
    build(folder / "site", folder / "cache", most=2)
    return folder / "site"


@pytest.fixture
def visit(site, course):
    """``visit("index.html", width=1280, dark=False)``: a page, whose faults fail the test."""
    contexts, faults = [], []

    def function(href, width=1280, dark=False):
        context = course.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda r: None if left(r) else faults.append(f"failed: {r.url}"))
        page.on("request", lambda r: None if r.url.startswith(HERE) else faults.append(r.url))
        page.goto(f"{site.as_uri()}/{href}")
        return page

    yield function
    for context in contexts:
        context.close()
    assert faults == []


HERE = ("file:", "blob:", "data:")


def left(request):
    """Whether the browser itself gave the request up, as it does when the reader goes on."""
    return request.failure == "net::ERR_ABORTED"


def test_every_link_leads_somewhere(site):
    assert links.problems(site) == []


def test_no_solution_is_told(site):
    exercise_pages = {page.stem: page for page in pages() if page.kind == "exercise"}
    assert exercise_pages
    index = json.loads(re.search(r"\((.*)\)", (site / "assets/search-index.js").read_text())[1])
    for stem, page in exercise_pages.items():
        told = squeezed("".join("".join(cell["source"]) for cell in page.notebook["cells"]))
        secret = [
            line
            for line in code_lines(ROOT / "solutions" / stem / f"{stem}.ipynb")
            if len(line) > 12 and squeezed(line) not in told
        ]
        assert len(secret) > 10
        found = text_of((site / page.href).read_text())
        found += squeezed("".join(e["x"] for e in index if e["u"].startswith(page.href)))
        assert [line for line in secret if squeezed(line) in found] == []
        assert "YOURCODEHERE" in found


def code_lines(path):
    cells = nbformat.read(path, as_version=4).cells
    lines = itertools.chain(*(c.source.splitlines() for c in cells if c.cell_type == "code"))
    return [line.strip() for line in lines]


def text_of(html):
    from html import unescape

    return squeezed(unescape(re.sub(r"<[^>]+>", "", html)))


def squeezed(text):
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("href", PAGES)
def test_a_page_opens_without_a_fault(visit, href):
    page = visit(href)
    expect(page.locator("h1")).to_have_count(1)
    expect(page.get_by_role("main")).to_be_visible()
    for image in page.locator("img").all():
        assert image.get_attribute("alt").strip()
    assert page.get_by_text("Error displaying widget").count() == 0
    for widget in page.locator(".widget").all():
        drawn = "node => node.classList.contains('fc') && node.offsetHeight > 30"
        assert widget.evaluate(drawn), widget.get_attribute("id")
    text = page.locator("main").evaluate(
        """main => { const copy = main.cloneNode(true);
        copy.querySelectorAll("script, annotation, pre, code, .fc").forEach(n => n.remove());
        return copy.textContent; }"""
    )
    assert "$" not in text
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("stem", ONE_OF_EACH)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_grave_on_a_page(visit, stem, dark):
    page = visit(f"{stem}.html", dark=dark)
    found, passed = axe(page, ["body"], ["math"], COLORS if dark else ())
    assert found == []
    assert passed["color-contrast"] > 10


def test_maths_is_drawn(visit):
    page = visit("06_privacy.html")
    maths = page.locator("math")
    assert maths.count() > 50
    for one in maths.all()[:20]:
        box = one.bounding_box()
        assert box["width"] > 3
        assert box["height"] > 5


@pytest.mark.parametrize("href", PANELS)
def test_a_slider_moves_the_panel(visit, href):
    page = visit(href)
    cell, status = PANELS[href]
    panel = page.locator(f"#w-{cell}-0")
    panel.scroll_into_view_if_needed()
    said = panel.locator(status)
    expect(said).not_to_have_text(re.compile("^(Move|Press|Starting|\\s*$)"), timeout=LIMIT)
    slider = panel.locator(".fc-stops input[type=range]").first
    choice = panel.locator(".fc-segments input").first
    before, seen = said.text_content(), panel.screenshot()
    if slider.count():
        slider.focus()
        at = slider.input_value()
        page.keyboard.press("ArrowLeft" if at != "0" else "ArrowRight")
        expect(slider).not_to_have_value(at)
    else:
        choice.check()
    expect(said).not_to_have_text(before, timeout=LIMIT)
    assert panel.screenshot() != seen
    panel.get_by_role("button", name="Reset").first.click()
    expect(said).to_have_text(re.compile(re.escape(before.split(",")[0])), timeout=LIMIT)


def test_a_slider_leads_to_the_nearest_setting_that_was_computed(visit, site):
    page = visit("00_start_here.html")
    panel = page.locator("#w-federation-panel-0")
    panel.scroll_into_view_if_needed()
    said = panel.locator(".fc-status")
    expect(said).to_have_text(re.compile("^Done"), timeout=LIMIT)
    first, second = panel.locator("input[type=range]").all()[:2]
    other = "0" if first.input_value() != "0" else "1"  # two states, which differ in both sliders
    first.fill(other)
    expect(said).to_have_text(re.compile("Moved to a setting that was computed"), timeout=LIMIT)
    assert first.input_value() == other
    assert second.is_visible()


def test_a_guess_is_compared_with_what_was_measured(visit):
    page = visit("02_fedavg.html")
    prediction = page.locator("#w-naive-predict-0")
    result = page.locator(".reveal").first
    expect(result.get_by_text("Measured")).to_have_count(0)
    prediction.get_by_label("20 to 50 %").check()
    prediction.get_by_role("button", name="Lock in my guess").click()
    expect(result).to_contain_text("Measured: 20 to 50 %. \N{CHECK MARK} Your guess is right.")


def test_without_a_guess_the_result_can_be_seen_too(visit):
    page = visit("02_fedavg.html")
    result = page.locator(".reveal").nth(1)
    result.get_by_role("button").click()
    expect(result).to_contain_text("You made no guess.")


def test_a_quiz_answers(visit):
    page = visit("02_fedavg.html")
    quiz = page.locator(".widget[id^='w-quiz']")
    item = quiz.locator(".fc-quiz-item").filter(has=page.locator("input[type=radio]")).first
    item.get_by_role("button", name="Check").click()
    expect(item.locator(".fc-feedback")).to_have_text("Choose an answer first.")
    marks = set()
    for option in item.locator("input").all():
        option.check()
        item.get_by_role("button", name="Check").click()
        expect(item).to_have_attribute("data-mark", re.compile("right|wrong"))
        marks.add(item.get_attribute("data-mark"))
        if "right" in marks:
            break
    assert "right" in marks
    assert "XP" not in quiz.text_content()


def answers(question, rng):
    """Many answers to a question, right and wrong."""
    kind = question["kind"]
    n = len(question.get("options", question.get("steps", question.get("lines", []))))
    if kind in ("choice", "line"):
        return list(range(n))
    if kind == "several":
        subsets = [[i for i in range(n) if bits >> i & 1] for bits in range(1, 2**n)]
        return rng.sample(subsets, min(20, len(subsets)))
    if kind == "order":
        return [list(range(n)), *(rng.sample(range(n), n) for _ in range(20))]
    targets = [question, *question.get("mistakes", [])]
    near = [
        t["answer"] + f * t["tolerance"] for t in targets for f in (-1.01, -1, 0, 0.99, 1, 1.01)
    ]
    words = ["0", "1,5", "1,000", "-3", "\N{MINUS SIGN}3", "12 %", "1e3", "many", "", "1.2.3", ".5"]
    return [f"{v:.12g}" for v in near] + words


def test_the_page_marks_as_python_does(visit):
    page, rng, count = visit("02_fedavg.html"), random.Random(0), 0
    for path in sorted(quiz_file.FOLDER.glob("*.json")):
        quiz = quiz_file.load(path.stem)
        keys = marking_key(quiz)
        for question in quiz["questions"]:
            given = answers(question, rng)
            script = "([key, all]) => all.map(answer => fedcoreMarks.mark(key, answer))"
            for answer, got in zip(
                given, page.evaluate(script, [keys[question["id"]], given]), strict=True
            ):
                assert got == by_python(question, answer), (path.stem, question["id"], answer)
                count += 1
    assert count > 300


def by_python(question, answer):
    try:
        mark = marking.mark(question, answer)
    except ValueError as error:
        return {"problem": str(error)}
    notes = {str(i): [right, rich(why)] for i, (right, why) in mark.notes.items()}
    return {"right": mark.right, "text": rich(mark.text), "notes": notes}


def test_search_finds_epsilon(visit):
    page = visit("index.html")
    page.get_by_role("searchbox").fill("epsilon")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=epsilon")
    first = page.locator("#results a").first
    expect(first).to_have_text("Glossary: epsilon")
    first.click()
    page.wait_for_url("**/glossary.html#epsilon")
    page.go_back()
    page.get_by_role("searchbox").fill("nothing that is there at all xyzzy")
    expect(page.locator("#count")).to_have_text("0 sections found")


def test_dark_pages_are_dark(visit):
    light, dark = (
        visit("02_fedavg.html", dark=d).evaluate("getComputedStyle(document.body).backgroundColor")
        for d in (False, True)
    )
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (light, dark)]
    assert brightness[0] > 700
    assert brightness[1] < 120


def test_the_keyboard_skips_to_the_text(visit):
    page = visit("02_fedavg.html")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")


def test_lessons_are_linked_in_order(visit):
    page = visit("01_model_to_data.html")
    page.get_by_role("navigation", name="Previous").locator("[rel=next]").click()
    page.wait_for_url("**/02_fedavg.html")


def test_without_scripts_there_is_no_hole(site, course):
    context = course.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.as_uri()}/02_fedavg.html")
    for widget in page.locator(".widget").all():
        assert widget.text_content().strip()
    assert page.locator(".widget details summary", has_text="Answer").count() > 5
    context.close()


def test_building_again_gives_the_same_bytes(site, tmp_path):
    build(tmp_path / "site", site.parent / "cache", most=2)
    assert contents(tmp_path / "site") == contents(site)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
