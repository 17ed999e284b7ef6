"""What new_lesson.py and new_exercise.py share: templates, and files that are only added to."""

import json
import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tidy_notebooks import KERNEL, LANGUAGE

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(__file__).resolve().parent / "templates"
SKILLS = ROOT / "fedcore" / "lab" / "skills.json"
HEAD = re.compile(r"^%% (\w+) (\S+)(?: (\d+))?\n", re.M)


class Refused(Exception):
    """This was not done; the message says why, and what to do."""


def filled(template, values):
    """The text of ``template`` with ``@KEY@`` replaced by the value of KEY."""
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    left = re.findall(r"@[A-Z_]+@", text)
    assert not left, f"{template} has {left}, which nobody fills in"
    return text


def notebook(text, metadata=()):
    """A notebook from a filled template: cells begin with ``%% kind id [points]``."""
    heads = list(HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    cells = [
        _cell(head[1], head[2], head[3], text[head.end() : end].strip("\n"))
        for head, end in zip(heads, ends, strict=True)
    ]
    made = new_notebook(cells=cells)
    made.metadata = nbformat.from_dict(
        {**dict(metadata), "kernelspec": KERNEL, "language_info": LANGUAGE}
    )
    return made


def _cell(kind, name, points, source):
    if kind == "markdown":
        return new_markdown_cell(source, id=name)
    cell = new_code_cell(source, id=name)
    if kind in ("solution", "graded"):
        graded = kind == "graded"
        cell.metadata["nbgrader"] = {
            "grade": graded,
            "grade_id": name,
            "locked": graded,
            **({"points": int(points)} if graded else {}),
            "schema_version": 3,
            "solution": not graded,
            "task": False,
        }
    return cell


def check_title(title):
    """Refused if the title would end a table's cell, a JSON text or a place in a template."""
    if re.search(r'["\\\n|@]', title):
        raise Refused(f'TITLE must be a text without ", \\, | or @; got {title!r}')


def refuse_existing(*paths):
    """Refused, naming the first of ``paths`` that is there."""
    for path in paths:
        if path.exists():
            raise Refused(f"{path.relative_to(ROOT)} exists already; nothing was changed")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:  # x: never over an existing one
        file.write(text)


def write_notebook(path, made):
    nbformat.validate(made)
    write(path, nbformat.writes(made) + "\n")


def replace(path, old, new):
    """Exchange ``old``, which must stand in the file exactly once, for ``new``."""
    text = path.read_text(encoding="utf-8")
    count = text.count(old)
    if count != 1:
        where = path.relative_to(ROOT)
        raise Refused(f"{where}: expected once, found {count} times: {old!r}; add the line by hand")
    path.write_text(text.replace(old, new), encoding="utf-8")


def read_skills():
    return json.loads(SKILLS.read_text(encoding="utf-8"))


def write_skills(data):
    """A line an entry, as the file is kept."""
    lines = {
        key: ",\n".join(json.dumps(each, ensure_ascii=False) for each in data[key]) for key in data
    }
    text = f'{{"lessons": [\n{lines["lessons"]}],\n"skills": [\n{lines["skills"]}]}}\n'
    SKILLS.write_text(text, encoding="utf-8")


def report(done, todo):
    """What was done, and what is left to whoever asked for it."""
    for title, lines in (("Done:", done), ("Still to do, by you:", todo)):
        print(title, *(f"  {line}" for line in lines), sep="\n")


def run(main):
    """``main`` with the arguments of the command line; what it refuses is said in a sentence."""
    try:
        main(*sys.argv[1:])
    except Refused as refused:
        sys.exit(f"{refused}.")
