"""Run notebooks and store their outputs: ``python tools/run_notebooks.py [NOTEBOOK ...]``.

With no arguments, every notebook of the course. What is stored is what a reader on GitHub can use:
text and figures. Live widgets are left out (they need a kernel), and so is whatever would make two
runs differ for no reason: see ``tools/tidy_notebooks.py``.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tidy_notebooks import tidy

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


def run(path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": path.parent}})
    with tempfile.TemporaryDirectory() as folder:  # not the record of whoever runs this
        os.environ["FEDCORE_PROGRESS"] = os.path.join(folder, "progress.sqlite3")
        client.execute()
    tidy(notebook)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb"))
    for path in chosen:
        print(path.name, flush=True)
        run(path)
