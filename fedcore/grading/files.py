"""Where hand-ins lie, and how files are written: a kill leaves the old one or the new one."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from fedcore.grading.exercise import Exercise, Unreadable, read_cells


@dataclass(frozen=True)
class Submission:
    """One student's hand-in for one exercise: the folder ``submitted/STUDENT/EXERCISE``."""

    student: str
    exercise: str
    folder: Path

    def cells(self) -> list[str]:
        """Sources of its code cells. Raises Unreadable that says what is wrong with the file.

        The notebook is called like the exercise; a single one under another name will do.
        """
        path = self.folder / f"{self.exercise}.ipynb"
        if not path.is_file():
            others = sorted(self.folder.glob("*.ipynb"))
            if len(others) != 1:
                raise Unreadable(f"there is no {path.name}, and not exactly one other notebook")
            path = others[0]
        try:
            return [cell["source"] for cell in read_cells(path)]
        except OSError as error:
            raise Unreadable(f"{path.name} can't be read: {error.strerror}") from None


def exercises(source: Path) -> dict[str, Exercise]:
    """All exercises of ``solutions/`` by name. ValueError if there are none."""
    found = {path.stem: Exercise(path) for path in sorted(source.glob("*/*.ipynb"))}
    if not found:
        raise ValueError(f"no exercises in {source}: is this the folder of the course?")
    return found


def submissions(submitted: Path, known: dict[str, Exercise]) -> list[Submission]:
    """Every hand-in for an exercise that is known, by student and exercise."""
    folders = sorted(path for path in submitted.glob("*/*") if path.is_dir())
    return [Submission(f.parent.name, f.name, f) for f in folders if f.name in known]


def collect(
    inbox: Path, submitted: Path, known: dict[str, Exercise]
) -> tuple[list[str], list[str]]:
    """Copy hand-ins from ``inbox`` to ``submitted``; returns (what was copied, what was not).

    Two layouts are understood: STUDENT/EXERCISE.ipynb, and STUDENT_EXERCISE.ipynb in one folder,
    as learning platforms export them. An older hand-in of the same student is replaced.
    """
    copied, left = [], []
    for path in sorted(inbox.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        match = next((name for name in known if path.stem.endswith(name)), None)
        prefix = path.stem[: -len(match)].strip("_- ") if match else ""
        student = prefix or (path.parent.name if path.parent != inbox else "")
        student = re.sub(r"[^\w.@+-]+", "-", student).strip(".-")
        if match is None or not student:
            left.append(str(path.relative_to(inbox)))
            continue
        target = submitted / student / match / f"{match}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".part")
        shutil.copyfile(path, partial)
        os.replace(partial, target)
        copied.append(f"{student}/{match}")
    return copied, left


def write(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    with open(partial, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
