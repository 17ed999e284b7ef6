"""What may be stored in a notebook: ``python tools/tidy_notebooks.py [--check] [NOTEBOOK ...]``.

Mends the notebooks (default: all of notebooks/ and solutions/), or with ``--check`` only says what
is wrong. Exit code 1 if there was anything. The rules, and why: a diff shows what somebody wrote,
not which machine ran it; a reader on GitHub sees text and figures; nothing personal is published.
"""

import argparse
import os
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python"}  # a version would differ by machine
NOTEBOOK_KEYS = {"kernelspec", "language_info", "fedcore"}
CELL_KEYS = {"jupyter", "nbgrader", "tags"}
PLACES = {  # folders that name a machine or a person -> what is stored in their place
    re.compile(r"(?:/home|/Users)/[^/\s\"'<>\\]+|/root\b"): "~",
    re.compile(r"(?:/private)?/tmp/[^/\s\"'<>\\]+"): "TEMP",
    re.compile(r"[A-Za-z]:\\{1,2}Users\\{1,2}[^\\\s\"'<>]+"): "~",
}


def notebooks():
    """Those that are written by hand; exercises/ is made from solutions/."""
    return sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "solutions").glob("*/*.ipynb")])


def tidy(notebook, outputs=True):
    """Mend ``notebook`` in place; what was wrong, and what no program can mend, in words.

    outputs: whether the kind of notebook stores any (a lesson does, the source of an exercise not).
    """
    said = []
    _metadata(notebook, said)
    for cell in notebook.cells:
        _cell_metadata(cell, said)
        if cell.cell_type == "code":
            (_outputs if outputs else _no_outputs)(cell, said)
        if any(place.search(cell.source) for place in PLACES):
            said.append(f"{cell.id}: an absolute path in the text (mend it by hand)")
    return said


def _metadata(notebook, said):
    for key in sorted(set(notebook.metadata) - NOTEBOOK_KEYS):
        said.append(f"metadata: {key}")
        del notebook.metadata[key]
    for key, wanted in (("kernelspec", KERNEL), ("language_info", LANGUAGE)):
        if notebook.metadata.get(key) != wanted:
            said.append(f"metadata: {key} is not the same on every machine")
            notebook.metadata[key] = nbformat.from_dict(wanted)


def _cell_metadata(cell, said):
    for key in sorted(set(cell.metadata) - CELL_KEYS):
        said.append(f"{cell.id}: metadata {key}")
        del cell.metadata[key]


def _no_outputs(cell, said):
    if cell.outputs or cell.execution_count is not None:
        said.append(f"{cell.id}: outputs of an exercise")
        cell.outputs, cell.execution_count = [], None


def _outputs(cell, said):
    """Errors, warnings and widgets go; a path that names a machine is replaced."""
    kept = []
    for output in cell.outputs:
        reason = _unwanted(output)
        if reason:
            said.append(f"{cell.id}: {reason}")
        else:
            if {"image/png", "text/html"} <= set(output.get("data", {})):
                said.append(f"{cell.id}: a picture stored twice")  # live it is HTML as well
                del output.data["text/html"]
            kept.append(_without_places(cell, output, said))
    cell.outputs = kept


def _unwanted(output):
    if output.output_type == "error":
        return f"an error: {output.ename}"
    if output.get("name") == "stderr":
        return "stderr"
    return "a widget" if WIDGET in output.get("data", {}) else None


def _without_places(cell, output, said):
    mended = _replace(output)
    if mended != output:
        said.append(f"{cell.id}: an absolute path in an output")
    return nbformat.from_dict(mended)


def _replace(value, kind=""):
    """``value`` with stand-ins in every text, except in the letters and slashes of a picture."""
    if isinstance(value, dict):
        return {key: _replace(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_replace(each, kind) for each in value]
    if isinstance(value, str) and kind not in ("image/png", "image/jpeg", "application/pdf"):
        for place, stand_in in PLACES.items():
            value = place.sub(stand_in, value)
    return value


def tidy_file(path, write=True):
    """What was wrong with the notebook at ``path``; it is rewritten unless ``write`` is false."""
    text = path.read_text(encoding="utf-8")
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat raises many kinds
        return [f"not a notebook (mend it by hand): {str(error).splitlines()[0]}"]
    said = tidy(notebook, outputs=path.resolve().parents[1].name != "solutions")
    mended = nbformat.writes(notebook) + "\n"
    if not said and mended != text:
        said.append("not written as Jupyter writes it: order of keys, indentation or end of file")
    if write and mended != text:
        path.write_text(mended, encoding="utf-8")
    return said


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("--check", action="store_true", help="say what is wrong, change nothing")
    parser.add_argument("notebook", nargs="*", type=Path)
    chosen = parser.parse_args(arguments)
    wrong = False
    for path in chosen.notebook or notebooks():
        for problem in tidy_file(path, write=not chosen.check):
            wrong = True
            print(f"{os.path.relpath(path)}: {problem}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
