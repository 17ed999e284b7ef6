"""``python -m fedcore.grading [FOLDER_OF_HAND_INS]``: collect, grade, write the gradebook.

Run in the folder of the course. ``--student NAME`` (may be repeated) grades again only these.
``--isolation`` tells what an answer is kept from on this machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fedcore.grading import batch, files
from fedcore.grading.process import isolation


def main() -> int:
    """0 if all was graded; 1 with a sentence on stderr if there was nothing to do."""
    parser = argparse.ArgumentParser(prog="python -m fedcore.grading", description=__doc__)
    parser.add_argument("inbox", nargs="?", type=Path, help="folder with files to collect first")
    parser.add_argument("--student", action="append", help="grade only this one")
    parser.add_argument("--root", type=Path, default=Path(), help="folder of the course")
    parser.add_argument("--isolation", action="store_true", help="say what is isolated, and end")
    options = parser.parse_args()
    for what, there in isolation().items():
        print(f"{what}: {'yes' if there else 'NO'}")
    if options.isolation:
        return 0
    try:
        if options.inbox is not None:
            known = files.exercises(options.root / "solutions")
            copied, left = files.collect(options.inbox, options.root / "submitted", known)
            print(f"collected {len(copied)} hand-ins")
            for name in left:
                print(f"left alone, no student or no exercise in its name: {name}")
        students = set(options.student) if options.student else None
        batch.run(options.root, students=students)
    except ValueError as fault:
        print(fault, file=sys.stderr)
        return 1
    print("written: gradebook.db, grades.csv, feedback/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
