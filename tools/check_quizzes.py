"""Quiz files: ``python tools/check_quizzes.py [FILE ...]`` (default: all of them).

Holds each to the JSON Schema and to the course's own check, and says where each fault is. Exit code
1 if there was any.
"""

import json
import os
import sys
from pathlib import Path

from jsonschema import Draft202012Validator

from fedcore.lab import quiz_file

SCHEMA = quiz_file.FOLDER.parent / "quiz.schema.json"


def faults(path):
    """Every fault of the file at ``path`` in words, [] if it is a quiz."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"no JSON: {error}"]
    schema = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    found = [f"{fault.json_path}: {fault.message}" for fault in schema.iter_errors(data)]
    if not found:
        try:
            quiz_file.check(data, path.name)
        except ValueError as error:
            found = [str(error)]
    return found


def main(names):
    paths = [Path(name) for name in names] or sorted(quiz_file.FOLDER.glob("*.json"))
    found = [f"{os.path.relpath(path)}: {fault}" for path in paths for fault in faults(path)]
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
