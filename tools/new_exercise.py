"""Begin an exercise: ``python tools/new_exercise.py NAME ["Its title"]``, or ``make new-exercise``.

Makes ``solutions/NAME/NAME.ipynb`` with one task that works (answer, visible trial, graded check)
and the planted answers of its test, and adds it to the lists that name the exercises. NAME is that
of its lesson, or any other. Overwrites nothing. What is then still to be done is printed.
"""

import re

from scaffold import (
    ROOT,
    Refused,
    check_title,
    filled,
    notebook,
    read_skills,
    refuse_existing,
    replace,
    report,
    run,
    write,
    write_notebook,
    write_skills,
)

POINTS = 2
TEACHERS = ROOT / "solutions" / "README.md"


def checked(name, title):
    """(path of the notebook, path of its planted answers); Refused in words."""
    if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name):
        raise Refused(f"NAME must be like 08_topic: lower-case words joined by _; got {name!r}")
    check_title(title)
    path = ROOT / "solutions" / name / f"{name}.ipynb"
    answers = ROOT / "tests" / "answers" / f"{name}.py"
    refuse_existing(path, answers)
    return path, answers


def _add_points(name):
    """A row in the teachers' table, and the new sum."""
    total = re.search(r"^\| \*\*all\*\* \| \*\*(\d+)\*\* \|", TEACHERS.read_text("utf-8"), re.M)
    if total is None:
        raise Refused("solutions/README.md has no row of the sum; add the exercise by hand")
    row = f"| **all** | **{int(total[1]) + POINTS}** |"
    replace(TEACHERS, total[0], f"| {name} | {POINTS} |\n{row}")


def register(name, check):
    """Add the exercise to the teachers' table and, if it has a lesson, to the skill map."""
    _add_points(name)
    data = read_skills()
    numbers = [i for i, lesson in enumerate(data["lessons"]) if lesson["name"] == name]
    mine = [skill for skill in data["skills"] if skill["lesson"] in numbers]
    if not mine:
        return False
    lesson = data["lessons"][numbers[0]]
    lesson["exercise"] = lesson["exercise"] or name
    mine[0]["tasks"][f"{name}/{check}"] = POINTS
    write_skills(data)
    return True


def main(name="", title=""):
    path, answers = checked(name, title)
    words = re.sub(r"^[\d_]+", "", name) or "task"
    check = words.replace("_", "-") + "-share"
    lesson = (ROOT / "notebooks" / f"{name}.ipynb").exists()
    belongs = "TODO: belongs to lesson"
    if lesson:
        belongs = f"belongs to [lesson {int(name[:2])}](../../notebooks/{name}.ipynb)"
    values = {"NAME": name, "TITLE": title or words.replace("_", " ").capitalize()}
    values |= {"ANSWER": f"{words}_share", "CHECK": check, "BELONGS": belongs}
    write_notebook(path, notebook(filled("exercise.txt", values)))
    write(answers, filled("answers.txt", values))
    mapped = register(name, check)
    done = [
        f"solutions/{name}/{name}.ipynb: one task of {POINTS} points, as an example; it works",
        f"tests/answers/{name}.py: three wrong answers and three other right ones",
        "solutions/README.md" + (", fedcore/lab/skills.json" if mapped else ""),
    ]
    todo = [f"your own tasks in place of the example; each TODO in solutions/{name}/{name}.ipynb"]
    if not mapped:
        todo.append(f'the task "{name}/{check}" in a skill of fedcore/lab/skills.json')
    todo += [
        "the points, also in solutions/README.md; CONTRIBUTING.md and lesson 0 state their sum",
        "the release: make exercises",
        f"the tests: make lesson NAME={name}",
    ]
    report(done, todo)


if __name__ == "__main__":
    run(main)
