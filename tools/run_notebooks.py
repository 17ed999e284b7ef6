"""Run notebooks and store their outputs: ``python tools/run_notebooks.py [NOTEBOOK ...]``.

With no arguments, every notebook of the course. What is stored is what a reader on GitHub can use:
text and figures. Live widgets are left out (they need a kernel), and so is whatever would make two
runs differ for no reason (time stamps, widget state, versions).
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def keep(output):
    """Widgets and warnings on stderr are not stored; everything else is."""
    is_widget = WIDGET in output.get("data", {})
    return not is_widget and output.get("name") != "stderr"


def one_picture(output):
    """A figure is stored once, as PNG with its alternative text; live it is HTML as well."""
    if "image/png" in output.get("data", {}):
        output.data.pop("text/html", None)
    return output


def tidy(notebook):
    """Drop what differs from run to run, in place."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = KERNEL
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [one_picture(output) for output in cell.outputs if keep(output)]


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
