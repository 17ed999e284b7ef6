"""Begin a lesson: ``python tools/new_lesson.py 08_topic "Its title"``, or ``make new-lesson``.

Makes the notebook, with all its parts and a TODO wherever something must be written, and the quiz,
and adds the lesson to every list that names the lessons. Overwrites nothing. What is then still to
be done is printed; the tests refuse a lesson in which a TODO is left.
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

MAP = ROOT / "notebooks" / "00_start_here.ipynb"
README = ROOT / "README.md"
GLOSSARY = ROOT / "fedcore" / "lab" / "glossary.json"
METADATA = {"fedcore": {"max_mb": 600, "max_seconds": 60, "minutes": 45}}


def checked(name, title, lessons):
    """The number of the new lesson; Refused that says which name was expected."""
    number = len(lessons)
    planned = [each for each in lessons if not notebook_of(each["name"]).exists()]
    if planned:
        number = lessons.index(planned[0])
    example = planned[0]["name"] if planned else f"{number:02}_topic"
    if not re.fullmatch(r"\d\d_[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise Refused(f"NAME must be like {example}: number, lower-case words, _; got {name!r}")
    refuse_existing(notebook_of(name), quiz_of(name))
    if int(name[:2]) != number or (planned and name != example):
        raise Refused(f"NAME must be the next lesson, {example}; got {name!r}")
    if not title.strip():
        raise Refused(f"TITLE must be a text; got {title!r}")
    check_title(title)
    return number


def notebook_of(name):
    return ROOT / "notebooks" / f"{name}.ipynb"


def quiz_of(name):
    return ROOT / "fedcore" / "lab" / "quizzes" / f"{name}.json"


def register(name, title, number, skills):
    """Add the lesson to README, lesson 0, glossary and skill map; what must be done by hand."""
    question, claim = "TODO: the question", '"TODO: the claim it tests"'
    rows = (
        (README, "", f"| {number} | [{title}](notebooks/{name}.ipynb) | {claim} |\n"),
        (MAP, '    "', f'    "| {number} | [{title}]({name}.ipynb) | {question} |\\n",\n'),
    )
    by_hand = []
    for path, indent, row in rows:
        try:
            _add_row(path, indent, number, row)
        except Refused as refused:
            by_hand.append(str(refused))
    _add_to_glossary(name, title, skills["lessons"][number - 1]["name"], by_hand)
    if number == len(skills["lessons"]):
        skills["lessons"].append({"name": name, "title": title, "exercise": None})
    if not any(skill["lesson"] == number for skill in skills["skills"]):
        skill = {"id": f"TODO {name}", "lesson": number, "x": 5, "needs": [], "what": "TODO."}
        skill |= {"terms": [], "predict": [f"{number:02}/accuracy"], "tasks": {}}
        skills["skills"].append(skill)
    write_skills(skills)
    return by_hand


def _add_row(path, indent, number, row):
    """Put ``row`` in the place of the row with this number, or else after the one before."""
    text = path.read_text(encoding="utf-8")
    old, previous = (
        re.search(rf"^{indent}\| {n} \|[^\n]*\n", text, re.M) for n in (number, number - 1)
    )
    if old:
        replace(path, old[0], row)
    elif previous:
        replace(path, previous[0], previous[0] + row)
    else:
        raise Refused(f"{path.relative_to(ROOT)} has no row of lesson {number - 1}: add {row!r}")


def _add_to_glossary(name, title, before, by_hand):
    lessons = GLOSSARY.read_text(encoding="utf-8").split('"terms"')[0]
    last = re.search(rf'^  "{before}": "[^"\n]*"', lessons, re.M)
    if f'"{name}": ' in lessons:
        return
    if last is None:
        by_hand.append(f'fedcore/lab/glossary.json: add "{name}": "{title}" to "lessons"')
        return
    replace(GLOSSARY, last[0], f'{last[0]},\n  "{name}": "{title}"')


def main(name="", title=""):
    skills = read_skills()
    number = checked(name, title, skills["lessons"])
    values = {"NAME": name, "TITLE": title, "NUMBER": number, "KEY": f"{number:02}"}
    values |= {"BEFORE": number - 1, "BEFORE_NAME": skills["lessons"][number - 1]["name"]}
    write_notebook(notebook_of(name), notebook(filled("lesson.txt", values), METADATA))
    write(quiz_of(name), filled("quiz.json", values))
    by_hand = register(name, title, number, skills)
    done = [
        f"notebooks/{name}.ipynb: every part of a lesson; it runs",
        f"fedcore/lab/quizzes/{name}.json: eight questions, of every kind",
        "README.md, lesson 0 (a row each), fedcore/lab/glossary.json, fedcore/lab/skills.json",
    ]
    todo = [
        "each TODO: grep -rn TODO README.md fedcore/lab notebooks",
        "the question in the table of notebooks/00_start_here.ipynb",
        "skills, several: name, sentence, what each needs, where it stands (x from 0 to 10)",
        f'terms in fedcore/lab/glossary.json with "lesson": "{name}", then make glossary',
        f"the exercise: make new-exercise NAME={name}, then its link in the lesson's last cell",
        f'the link "Next" at the end of notebooks/{values["BEFORE_NAME"]}.ipynb',
        f"the outputs: .venv/bin/python tools/run_notebooks.py notebooks/{name}.ipynb",
        f"the tests: make lesson NAME={name}",
    ]
    report(done, by_hand + todo)


if __name__ == "__main__":
    run(main)
