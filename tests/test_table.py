"""lab.table: what stands in the HTML and in the text is what was handed over."""

from html.parser import HTMLParser

import numpy as np
import pytest

from fedcore import lab

ROWS = {
    "wait <for> all": {"8, 9": 66.6, "minutes": np.float64(9.44), "battery": "mains"},
    "cut": {"8, 9": 0.2, "minutes": 4.0, "battery": "55"},
}


class Cells(HTMLParser):
    """The text of each th and td, row by row; the attributes of the region."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.region, self.inside = [], {}, False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        self.inside = tag in ("th", "td")
        if dict(attrs).get("role") == "region":
            self.region = dict(attrs)

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def test_html_holds_the_rounded_numbers_and_escapes_names():
    parsed = Cells(lab.table(ROWS, "Remedies", digits={"minutes": 1})._repr_html_())
    assert parsed.rows == [
        ["", "8, 9", "minutes", "battery"],
        ["wait <for> all", "67", "9.4", "mains"],
        ["cut", "0", "4.0", "55"],
    ]


def test_a_keyboard_reaches_and_a_screen_reader_names_the_scrolling_region():
    region = Cells(lab.table(ROWS, 'Price of "waiting"')._repr_html_()).region
    assert region["tabindex"] == "0"
    assert region["aria-label"] == 'Price of "waiting"'


def test_text_is_aligned_to_the_right():
    lines = repr(lab.table(ROWS, "Remedies", digits=2)).splitlines()
    assert [line.split()[-1] for line in lines] == ["battery", "mains", "55"]
    assert len({len(line) for line in lines}) == 1
    assert "66.60      9.44" in lines[1]


@pytest.mark.parametrize(
    ("rows", "more", "error", "says"),
    [
        ({}, {}, ValueError, "at least one row"),
        ({"a": {"x": 1}, "b": {"y": 1}}, {}, ValueError, r"rows\['b'\] must have the columns"),
        ({"a": {"x": None}}, {}, TypeError, r"rows\['a'\]\['x'\] must be a number or a text"),
        ({"a": {"x": True}}, {}, TypeError, "must be a number or a text"),
        ({"a": {"x": 1}}, {"digits": {"z": 1}}, ValueError, r"digits must name columns"),
        ({"a": {"x": 1}}, {"title": " "}, ValueError, "title must say"),
    ],
)
def test_bad_input_is_named(rows, more, error, says):
    with pytest.raises(error, match=says):
        lab.table(rows, **{"title": "t", **more})
