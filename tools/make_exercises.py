"""Release the exercises: ``python tools/make_exercises.py [FOLDER]`` (default: exercises/).

What nbgrader's ``generate_assignment --force --no-db`` makes of solutions/, in one process:
solutions and hidden tests are stripped, outputs cleared. The same sources give the same bytes.
"""

import logging
import shutil
import sys
from pathlib import Path

from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from traitlets.config import PyFileConfigLoader

ROOT = Path(__file__).resolve().parent.parent


def release(folder):
    folder = Path(folder).resolve()
    names = sorted(path.parent.name for path in (ROOT / "solutions").glob("*/*.ipynb"))
    for stale in folder.glob("*"):
        if stale.is_dir() and stale.name not in names:
            shutil.rmtree(stale)
    config = PyFileConfigLoader("nbgrader_config.py", path=str(ROOT)).load_config()
    config.CourseDirectory.release_directory = str(folder)
    config.SaveCells.enabled = False
    quiet = logging.getLogger("make_exercises")
    for name in names:
        config.CourseDirectory.assignment_id = name
        course = CourseDirectory(config=config, log=quiet)
        converter = GenerateAssignment(coursedir=course, config=config, log=quiet)
        converter.force, converter.no_database = True, True
        converter.start()
    return names


if __name__ == "__main__":
    for name in release(sys.argv[1] if len(sys.argv) > 1 else ROOT / "exercises"):
        print(name)
