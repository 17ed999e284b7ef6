"""Spelling, by codespell: ``python tools/check_spelling.py [FILE ...]`` (default: every text file).

Prose (Markdown, notebooks' Markdown cells, texts in JSON files) is also held to British spelling,
which is the course's: codespell's list of American equivalents, read backwards. Code, formulas and
addresses in it are left out. In other files only misspellings are looked for. Words that are right
here stand in ``pyproject.toml``. Exit code 1 if anything was found.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import codespell_lib

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("notebooks", "solutions", "fedcore", "tests", "tools", "benchmarks")
PROSE = {".md", ".ipynb", ".json"}
PROGRAMS = {".py", ".pyx", ".h", ".js", ".css", ".cff", ".toml", ".yml", ".yaml"}
MADE = {"measurements.json", "results.json", "table1.json"}  # by programs: numbers, no prose
NO_PROSE = {"code", "lines", "id", "setup", "name", "pattern"}  # fields of JSON files
NOT_WORDS = re.compile(
    r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)|<[^>]*>|https?://\S+", re.DOTALL
)


def files():
    """All files in the folders that people write in."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        found += (ROOT / folder).rglob("*")
    made = {"__pycache__", ".ipynb_checkpoints"}
    return sorted(path for path in found if not made & {*path.parts})


def british(folder):
    """A dictionary for codespell in ``folder``: American spelling -> British spelling."""
    data = Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
    target = folder / "british.txt"
    pairs = [line.split("->") for line in data.read_text(encoding="utf-8").splitlines() if line]
    lines = {f"{right.split(',')[0].strip()}->{wrong}" for wrong, right in pairs}
    target.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
    return target


def pieces(path):
    """[(where in the file, text)]: what is prose in it, with its lines where they were."""
    text = path.read_text(encoding="utf-8")
    if path.suffix not in PROSE:
        return [("", text)]
    if path.suffix == ".md":
        return [("", without_code(text))]
    data = json.loads(text)
    if path.suffix == ".ipynb":
        cells = [cell for cell in data["cells"] if cell["cell_type"] == "markdown"]
        return [(cell["id"], without_code("".join(cell["source"]))) for cell in cells]
    return [(where, without_code(each)) for where, each in texts(data)]


def without_code(text):
    return NOT_WORDS.sub(lambda found: "\n" * found[0].count("\n") or " ", text)


def texts(value, where=""):
    """(path, text) of every text in a JSON value, but not of the fields that hold code."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in NO_PROSE:
                yield from texts(each, f"{where}/{key}")


def misspelt(paths):
    """["file: where: wrong ==> right"] of the files, in order; those with no text are left out."""
    paths = [p for p in paths if p.suffix in PROSE | PROGRAMS and p.name not in MADE]
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        american = ["-D", "-", "-D", british(folder)]
        for prose in (True, False):
            (folder / str(prose)).mkdir()
            places = []
            for path in paths:
                if (path.suffix in PROSE) == prose:
                    for where, text in pieces(path):
                        (folder / str(prose) / f"{len(places):06d}").write_text(text, "utf-8")
                        shown = os.path.relpath(path)
                        places.append(f"{shown}: {where}" if where else shown)
            found += codespell(folder / str(prose), places, american if prose else [])
    return found


def codespell(folder, places, options):
    """What codespell says of the numbered files in ``folder``, under their real names."""
    command = [sys.executable, "-m", "codespell_lib", "--disable-colors", *options, folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 65):  # 65: found something
        sys.exit(done.stderr)
    lines = sorted(line.removeprefix(f"{folder}/") for line in done.stdout.splitlines())
    return [f"{places[int(line[:6])]}{line[6:]}" for line in lines]


if __name__ == "__main__":
    wrong = misspelt([Path(name) for name in sys.argv[1:]] or files())
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(bool(wrong))
