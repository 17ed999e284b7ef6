"""Make notebooks/glossary.ipynb from fedcore/lab/glossary.json: ``python tools/make_glossary.py``.

One section for each term: definition, where it is taught, and its preview as a cell. The outputs
are stored by running it afterwards (``make glossary`` does both).
"""

import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fedcore.lab.glossary import ascii_text, entries, source, taught_in

TARGET = Path(__file__).resolve().parent.parent / "notebooks" / "glossary.ipynb"

INTRO = """# Glossary

Every term of the course: what it means, a few lines of code that show it, and the lesson that
teaches it. Run the first cell, then any preview you like, in any order; change it and run it again.

Inside a lesson, `lab.glossary("FedAvg")` shows the same text. It forgives misspellings, and
`lab.glossary()` lists everything.

about 10 minutes to browse · runs in under 60 s and 600 MB on one core

{contents}"""


def build():
    """The notebook, without outputs; the same source gives the same notebook."""
    cells = [
        new_markdown_cell(INTRO.format(contents=_contents()), id="title"),
        new_code_cell("\n".join([*source()["setup"], "", "from fedcore import lab"]), id="setup"),
        new_code_cell('lab.glossary("fedavgg")  # try a term of your own', id="look-up"),
    ]
    for entry in entries():
        name = re.sub(r"\W+", "-", ascii_text(entry.term).lower()).strip("-")
        cells.append(new_markdown_cell(_prose(entry), id=f"{name}-text"))
        cells.append(new_code_cell(entry.code, id=name))
    sources = "\n".join(f"- {each}" for each in source()["sources"])
    cells.append(new_markdown_cell(f"## Sources\n\n{sources}", id="sources"))
    metadata = {
        "fedcore": {"max_mb": 600, "max_seconds": 60, "minutes": 10},
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    return new_notebook(cells=cells, metadata=metadata)


def _contents():
    lessons = sorted({entry.lesson for entry in entries()})
    rows = []
    for lesson in lessons:
        links = [f"[{e.term}](#{_target(e.term)})" for e in entries() if e.lesson == lesson]
        rows.append(f"**{_lesson(lesson)}:** " + " · ".join(links))
    return "\n\n".join(rows)


def _prose(entry):
    also = f"\n\n*Also: {', '.join(entry.also)}.*" if entry.also else ""
    text = f"## {entry.term}\n\n{entry.definition}\n\nTaught in {_lesson(entry.lesson)}.{also}"
    return text if entry.term.isascii() else f'<a id="{_target(entry.term)}"></a>\n\n{text}'


def _target(term):
    """Where a link to ``term`` leads: in JupyterLab the heading, with hyphens for blanks.

    JupyterLab compares the percent-encoded link with the heading as it is written, so a heading
    with other than ASCII letters is never found: those get an anchor of their own.
    """
    return ascii_text(term).replace(" ", "-")


def _lesson(lesson):
    there = lesson in source()["lessons"]
    return f"[{taught_in(lesson)}]({lesson}.ipynb)" if there else taught_in(lesson)


if __name__ == "__main__":
    nbformat.write(build(), TARGET)
    print(TARGET.name, len(entries()), "terms")
