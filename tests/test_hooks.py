"""What a commit is held to: the hooks pass on what is there, and each refuses its own fault."""

import json

import check_spelling
import nbformat
import pytest
import tidy_notebooks
from checkout import copy, run

PATH = "/home/ada/data"
LESSON = "notebooks/02_fedavg.ipynb"
WRONG = "t" + "eh"  # in one word it would be a fault of this file
EXERCISE = "solutions/02_fedavg/02_fedavg.ipynb"


@pytest.fixture
def checkout(tmp_path):
    """A repository of its own that holds what this one does."""
    copy(tmp_path)
    with (tmp_path / ".gitignore").open("a") as ignored:
        ignored.write(".venv\n.hooks\n")
    assert git(tmp_path, "init", "-q").returncode == 0
    assert git(tmp_path, "add", "-A").returncode == 0
    return tmp_path


def git(folder, *arguments):
    hooks = {"PRE_COMMIT_HOME": str(folder / ".hooks"), "PRE_COMMIT_COLOR": "never"}
    return run(folder, "git", *arguments, **hooks)


@pytest.mark.slow(seconds=20)
def test_hooks_pass_on_what_is_there_and_refuse_what_is_planted(checkout):
    assert run(checkout, ".venv/bin/pre-commit", "install").returncode == 0
    clean = git(checkout, "commit", "-qm", "All of it")
    assert clean.returncode == 0, clean.stdout
    assert clean.stdout.count("Passed") == 5, clean.stdout

    plant(checkout)
    git(checkout, "add", "-A")
    refused = git(checkout, "commit", "-m", "Faults")
    assert refused.returncode != 0
    assert refused.stdout.count("Failed") == 5, refused.stdout
    for said in (
        "F401",
        "F821",
        "reformatted",
        f"{LESSON}: metadata: kernelspec",
        f"{LESSON}: metadata: widgets",
        "02_fedavg.json: $.questions[0].options",
        f"README.md:1: {WRONG} ==> the",
        "README.md:1: color ==> colour",
    ):
        assert said in refused.stdout, refused.stdout
    assert tidy_notebooks.tidy_file(checkout / LESSON) == []  # the hook has mended it
    assert (checkout / "fedcore" / "layout.py").read_text() == "x = 1\n"


def plant(checkout):
    """One fault for each hook."""
    (checkout / "fedcore" / "planted.py").write_text("import os\n\nx = undefined\n")
    (checkout / "fedcore" / "layout.py").write_text("x=1\n")
    notebook = nbformat.read(checkout / LESSON, 4)
    notebook.metadata.kernelspec.display_name = "My kernel 3.13.1"
    notebook.metadata["widgets"] = {}
    nbformat.write(notebook, checkout / LESSON)
    quiz = checkout / "fedcore" / "lab" / "quizzes" / "02_fedavg.json"
    data = json.loads(quiz.read_text())
    for option in data["questions"][0]["options"]:
        option["correct"] = True
    quiz.write_text(json.dumps(data))
    readme = checkout / "README.md"
    readme.write_text(f"{WRONG} color of " + readme.read_text())


# ------------------------------------------------------------------------------- each rule


def stored(**output):
    """A notebook with one code cell, with one output."""
    cell = nbformat.v4.new_code_cell("1", id="one", execution_count=1)
    cell.outputs = [nbformat.v4.new_output(**output)]
    metadata = {"kernelspec": tidy_notebooks.KERNEL, "language_info": tidy_notebooks.LANGUAGE}
    return nbformat.v4.new_notebook(cells=[cell], metadata=metadata)


GOOD = {"output_type": "stream", "name": "stdout", "text": "0.91 in ~/data, data:image/tmp\n"}


def test_what_a_reader_can_use_stays():
    notebook = stored(**GOOD)
    picture = nbformat.v4.new_output("display_data", data={"image/png": f"AAAA{PATH}/tmp/xx"})
    notebook.cells[0].outputs.append(picture)
    before = nbformat.writes(notebook)
    assert tidy_notebooks.tidy(notebook) == []
    assert nbformat.writes(notebook) == before


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"output_type": "error", "ename": "KeyError", "evalue": "", "traceback": []}, "KeyError"),
        ({"output_type": "stream", "name": "stderr", "text": "!"}, "stderr"),
        ({"output_type": "display_data", "data": {tidy_notebooks.WIDGET: {}}}, "a widget"),
    ],
)
def test_what_helps_nobody_goes(output, said):
    notebook = stored(**output)
    assert [said in each for each in tidy_notebooks.tidy(notebook)] == [True]
    assert notebook.cells[0].outputs == []
    assert tidy_notebooks.tidy(notebook) == []


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        (f"read {PATH}/x.csv", "read ~/data/x.csv"),
        ("/Users/ada/x", "~/x"),
        ("/root/x", "~/x"),
        ("'/tmp/tmp1a2b/x'", "'TEMP/x'"),
        (r"C:\Users\ada\x", r"~\x"),
    ],
)
def test_paths_that_name_a_person_or_a_machine_are_replaced(path, instead):
    notebook = stored(output_type="execute_result", execution_count=1, data={"text/plain": path})
    assert tidy_notebooks.tidy(notebook) == ["one: an absolute path in an output"]
    assert notebook.cells[0].outputs[0].data["text/plain"] == instead


def test_a_path_in_the_text_is_said_but_not_guessed():
    notebook = stored(**GOOD)
    notebook.cells[0].source = f"open('{PATH}')"
    assert tidy_notebooks.tidy(notebook) == ["one: an absolute path in the text (mend it by hand)"]
    assert notebook.cells[0].source == f"open('{PATH}')"


def test_traces_of_a_run_go():
    notebook = stored(**GOOD)
    notebook.metadata["vscode"] = {}
    notebook.metadata.language_info["version"] = "3.13.1"
    notebook.cells[0].metadata |= {"execution": {"iopub.status.idle": "2026"}, "tags": ["keep"]}
    assert len(tidy_notebooks.tidy(notebook)) == 3
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert notebook.cells[0].metadata == {"tags": ["keep"]}


def test_the_source_of_an_exercise_stores_no_outputs(tmp_path):
    path = tmp_path / EXERCISE
    path.parent.mkdir(parents=True)
    nbformat.write(stored(**GOOD), path)
    assert tidy_notebooks.tidy_file(path, write=False) == ["one: outputs of an exercise"]
    assert tidy_notebooks.tidy_file(path) == ["one: outputs of an exercise"]
    assert tidy_notebooks.tidy_file(path) == []


def test_what_is_no_notebook_is_said(tmp_path):
    path = tmp_path / "notebooks" / "x.ipynb"
    path.parent.mkdir()
    for text in ("{]", "[]"):
        path.write_text(text)
        (said,) = tidy_notebooks.tidy_file(path)
        assert said.startswith("not a notebook")
        assert path.read_text() == text


def test_spelling_looks_at_prose_and_not_at_code(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell(f"fine\n\nThe `color` of {WRONG} $behavior$", id="prose"),
        nbformat.v4.new_code_cell(f"color = '{WRONG}'", id="code"),
    ]
    notebook, quiz, page = (tmp_path / name for name in ("a.ipynb", "b.json", "c.md"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    quiz.write_text(json.dumps({"questions": [{"why": "a neighbor", "lines": [WRONG]}]}))
    page.write_text(f"```\n{WRONG}\n```\n<b color=red>\n\na flavor\n")
    program = tmp_path / "d.py"
    program.write_text(f"color = 1  # {WRONG}\n")
    found = check_spelling.misspelt([notebook, quiz, page, program])
    ends = [
        f"prose:3: {WRONG} ==> the",
        "/why:1: neighbor ==> neighbour",
        "c.md:6: flavor ==> flavour",
    ]
    ends.append(f"d.py:1: {WRONG} ==> the")
    assert len(found) == len(ends)
    assert all(line.endswith(end) for line, end in zip(found, ends, strict=True)), found
