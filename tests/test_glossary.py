"""The glossary: previews run, names find their entry, notebook and look-up say the same."""

import ast
import importlib.util
import re

import nbformat
import pytest
from conftest import ROOT

from fedcore import lab
from fedcore.lab.glossary import entries, source, taught_in

NOTEBOOKS = ROOT / "notebooks"


@pytest.fixture(scope="module")
def builder():
    path = ROOT / "tools" / "make_glossary.py"
    spec = importlib.util.spec_from_file_location("make_glossary", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------- the source


@pytest.fixture(scope="module")
def prepared():
    names = {}
    exec("\n".join(source()["setup"]), names)
    return names


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.term)
def test_every_preview_runs_and_shows_something(entry, prepared, capsys):
    """In a copy of the prepared names: no preview may count on another one."""
    lines = ast.parse(entry.code).body
    names = dict(prepared)
    last = lines.pop() if isinstance(lines[-1], ast.Expr) else None
    exec(compile(ast.Module(lines, []), entry.term, "exec"), names)
    shown = eval(compile(ast.Expression(last.value), entry.term, "eval"), names) if last else None
    assert shown is not None or capsys.readouterr().out


def test_previews_leave_the_prepared_names_alone(prepared):
    """In the notebook they share one kernel, and are run in any order."""
    for entry in entries():
        stored = [n for n in ast.walk(ast.parse(entry.code)) if isinstance(n, ast.Name)]
        changed = {n.id for n in stored if isinstance(n.ctx, ast.Store)}
        assert not changed & (set(prepared) - {"__builtins__"}), entry.term
    assert (prepared["params"] == prepared["model"].init(seed=0)).all()


def test_entries_are_whole_and_short():
    for entry in entries():
        assert 20 < len(entry.definition) < 160, entry.term
        assert entry.definition.endswith("."), entry.term
        assert re.fullmatch(r"\d\d_[a-z_]+", entry.lesson), entry.term
        assert entry.code.count("\n") < 8, entry.term
        assert max(map(len, entry.code.split("\n"))) <= 100, entry.term
    terms = [entry.term for entry in entries()]
    assert len(set(terms)) == len(terms) > 70


def test_lessons_named_exist():
    for lesson, title in source()["lessons"].items():
        assert (NOTEBOOKS / f"{lesson}.ipynb").is_file()
        first = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4).cells[0].source
        assert first.startswith(f"# Lesson {int(lesson[:2])} · {title}"), lesson


def test_papers_named_are_listed():
    """'(McMahan et al., 2017)' needs a source of that author and year."""
    sources = source()["sources"]
    for entry in entries():
        for author, year in re.findall(r"\(?([A-Z]\w+)(?: et al\.)?, (\d{4})\)", entry.definition):
            named = [s for s in sources if s.startswith(author) and f"({year})" in s]
            assert len(named) == 1, (entry.term, author, year)


def test_the_names_in_contributing_are_there():
    """CONTRIBUTING's names are the course's: each must be found in the glossary."""
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Names")[1].split("## Code")[0]
    names = re.findall(r"^\| `([a-z_]+)`", table, re.M)
    assert len(names) > 12
    for name in names:
        assert lab.glossary(name).entries, name


def test_each_link_within_the_notebook_leads_to_its_term(builder):
    """JupyterLab finds a heading by its text with hyphens, or an anchor; only in plain ASCII."""
    first, *rest = (c.source for c in builder.build().cells if c.cell_type == "markdown")
    headings = [re.search(r"^## (.+)$", text, re.M)[1] for text in rest]
    places = {heading.replace(" ", "-"): heading for heading in headings}
    for text, heading in zip(rest, headings, strict=True):
        places |= dict.fromkeys(re.findall(r'<a id="([^"]+)">', text), heading)
    links = re.findall(r"\[([^]]+)\]\(#((?:[^()]|\([^()]*\))+)\)", first)
    assert sorted(term for term, _ in links) == sorted(entry.term for entry in entries())
    for term, target in links:
        assert target.isascii(), term
        assert places[target] == term


# ------------------------------------------------------------------------------- the look-up


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("FedAvg", "FedAvg"),
        ("  fed avg ", "FedAvg"),
        ("federated averaging", "FedAvg"),
        ("clients", "client"),
        ("NON IID", "non-IID"),
        ("non_iid", "non-IID"),
        ("C", "fraction"),
        ("alpha", "Dirichlet partition"),
        ("secagg", "secure aggregation"),
        ("quantization", "quantisation"),
        ("over selection", "over-selection"),
        ("renyi divergence", "Rényi divergence"),
    ],
)
def test_names_find_their_entry_without_a_note(asked, found):
    answer = lab.glossary(asked)
    assert [entry.term for entry in answer.entries] == [found]
    assert answer.note == ""


def test_every_name_of_every_entry_finds_it():
    for entry in entries():
        for name in (entry.term, *entry.also):
            for spelling in (name, name.upper(), name.lower(), name.replace("-", " ")):
                if len(name) > 1:
                    assert entry in lab.glossary(spelling).entries, spelling


@pytest.mark.parametrize(
    ("asked", "found"),
    [("FedAvgg", "FedAvg"), ("krumm", "Krum"), ("secure agregaton", "secure aggregation")],
)
def test_small_misspellings_are_forgiven_and_said(asked, found):
    answer = lab.glossary(asked)
    assert [entry.term for entry in answer.entries] == [found]
    assert answer.note == f"{asked!r} is not in the glossary; nearest: {found}."


def test_two_meanings_are_both_shown():
    assert len(lab.glossary("delta").entries) == 2


def test_what_is_not_there_gets_suggestions():
    answer = lab.glossary("Dirichlet distribution")
    assert answer.entries == ()
    assert "Dirichlet partition" in answer.suggestions
    assert "Did you mean" in repr(answer)
    nothing = lab.glossary("zzzz")
    assert nothing.suggestions == ()
    assert "lab.glossary() lists all terms" in nothing._repr_html_()
    assert lab.glossary("!!").entries == ()


def test_text_and_html_show_definition_code_and_lesson(monkeypatch):
    monkeypatch.chdir(NOTEBOOKS)
    entry = lab.glossary("FedSGD").entries[0]
    text, html = repr(lab.glossary("FedSGD")), lab.glossary("FedSGD")._repr_html_()
    for line in (entry.definition, *entry.code.split("\n"), taught_in("02_fedavg")):
        assert line in text
    assert '<a href="02_fedavg.ipynb">Lesson 2 · Federated averaging</a>' in html
    assert "fedcore" not in html.split("</style>")[1] or "import" in entry.code


def test_links_work_from_an_exercise_and_vanish_elsewhere(monkeypatch, tmp_path):
    inside = tmp_path / "exercises" / "one"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert "<a " not in lab.glossary("FedAvg")._repr_html_()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "02_fedavg.ipynb").write_text("{}")
    assert 'href="../../notebooks/02_fedavg.ipynb"' in lab.glossary("FedAvg")._repr_html_()


def test_what_is_asked_can_t_inject_html():
    html = lab.glossary("<script>alert(1)</script>")._repr_html_()
    assert "<script" not in html


def test_without_a_term_all_are_listed_by_lesson():
    contents = lab.glossary()
    assert sum(len(terms) for terms in contents.by_lesson.values()) == len(entries())
    for entry in entries():
        assert entry.term in repr(contents)
        assert entry.term in contents._repr_html_()


@pytest.mark.parametrize("bad", [3, b"FedAvg", ["FedAvg"]])
def test_a_term_must_be_a_text(bad):
    with pytest.raises(TypeError, match="term must be a text, got"):
        lab.glossary(bad)


# ------------------------------------------------------------------------------ the notebook


def test_the_notebook_is_what_the_source_makes(builder):
    """Derived: `make glossary` after a change of glossary.json."""
    fresh, stored = builder.build(), nbformat.read(builder.TARGET, as_version=4)
    assert [(c.cell_type, c.id, c.source) for c in fresh.cells] == [
        (c.cell_type, c.id, c.source) for c in stored.cells
    ]
    assert dict(fresh.metadata) == dict(stored.metadata)


def test_every_preview_has_its_output_stored(builder):
    stored = nbformat.read(builder.TARGET, as_version=4)
    empty = [c.id for c in stored.cells if c.cell_type == "code" and not c.outputs]
    assert empty == ["setup"]
