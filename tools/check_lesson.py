"""One lesson alone: ``python tools/check_lesson.py 02_fedavg [ARGUMENT OF PYTEST ...]``.

Its notebook, its quiz and its exercise: what is stored, spelling, schema, and every test that bears
its name, the run of the notebook included. Any notebook's name will do, or that of an exercise.
"""

import subprocess
import sys
from pathlib import Path

from fedcore.lab import quiz_file, skills

ROOT = Path(__file__).resolve().parent.parent
TOOLS = {"tidy_notebooks.py": (".ipynb", "--check"), "check_quizzes.py": (".json",)}
TOOLS |= {"check_spelling.py": ("",)}


def files(name):
    """(names that belong to ``name``, the files that exist under them)."""
    exercise = {lesson.name: lesson.exercise for lesson in skills.lessons()}.get(name)
    names = [name, *({exercise} - {None, name})]
    found = [ROOT / "notebooks" / f"{name}.ipynb", quiz_file.FOLDER / f"{name}.json"]
    found += [ROOT / "solutions" / each / f"{each}.ipynb" for each in names]
    return names, [path for path in found if path.exists()]


def main(name="", *pytest_arguments):
    names, found = files(name)
    if not name or not found:
        there = ", ".join(path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb")))
        return f"NAME must be a notebook or an exercise, got {name!r}; there are: {there}"
    commands = []
    for tool, (suffix, *options) in TOOLS.items():
        chosen = [path for path in found if path.name.endswith(suffix)]
        if chosen:
            commands.append([ROOT / "tools" / tool, *options, *chosen])
    commands.append(["-m", "pytest", "-k", " or ".join(names), *pytest_arguments])
    codes = [subprocess.call([sys.executable, *command], cwd=ROOT) for command in commands]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
