"""The quick quiz at the end of a lesson. Answers are marked in Python and are not in the page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from fedcore.lab import marking, progress, quiz_file
from fedcore.lab.style import NBSP, css, esm, plain, rich


class Quiz(anywidget.AnyWidget):
    """A quiz on a page; ``answer`` marks from Python what the page marks on a click.

    quiz: a checked quiz (see ``lab.quiz_file``). name: of the lesson; with a question's id it is
    the key under which XP are earned, once; attempts count on across restarts of the kernel.
    """

    _esm = esm("common.js", "quiz.js")
    _css = css()

    title = traitlets.Unicode().tag(sync=True)
    questions = traitlets.List().tag(sync=True)  # without any hint at what is right
    results = traitlets.Dict().tag(sync=True)  # {id: what the page shows of the last attempt}
    xp = traitlets.Int(0).tag(sync=True)  # of the whole record

    def __init__(self, name: str, quiz: dict[str, Any]):
        self.name = name
        self._questions = {question["id"]: question for question in quiz["questions"]}
        super().__init__(
            title=quiz["title"],
            questions=[self._asked(question) for question in quiz["questions"]],
            xp=progress.total(),
        )
        self.on_msg(self._on_message)
        self._forget = progress.listen(lambda total: setattr(self, "xp", total))

    def answer(self, question: str, answer: Any) -> marking.Mark:
        """Mark ``answer`` to the question with that id, and show it; see ``marking.mark``.

        Raises KeyError for an unknown id, ValueError for an answer of the wrong kind. Once a
        question was answered right, further attempts change nothing.
        """
        asked = self._questions[question]
        mark = marking.mark(asked, answer)
        before = self.results.get(question, {"tries": 0, "right": False})
        if before["right"]:
            return mark
        key, tries = f"quiz/{self.name}/{question}", before["tries"] + 1
        attempts = progress.attempt(key)  # in the whole record; tries: on this page
        earned = marking.points(attempts) if mark.right else 0
        skills = tuple(asked.get("skills", ()))
        gained = progress.award(key, earned, marking.FULL, skills)
        shown = {"right": mark.right, "tries": tries, "answer": answer, "gained": gained}
        shown["text"] = rich(mark.text)
        shown["notes"] = {str(i): [ok, rich(why)] for i, (ok, why) in mark.notes.items()}
        self.results = {**self.results, question: shown}
        return mark

    def close(self) -> None:
        """Take the quiz from the page."""
        self._forget()
        super().close()

    def _asked(self, question: dict[str, Any]) -> dict[str, Any]:
        program = question["kind"] == "line"
        items = question.get("options", question.get("steps", question.get("lines", [])))
        texts = [item["text"] if isinstance(item, dict) else item for item in items]
        return {
            "id": question["id"],
            "kind": question["kind"],
            "html": rich(question["question"]),
            "label": plain(question["question"]),
            "items": [_code(text) if program else rich(text) for text in texts],
            "names": texts if program else [plain(text) for text in texts],
            "order": self._order(question, len(texts)),
            "unit": question.get("unit", ""),
        }

    def _order(self, question: dict[str, Any], n: int) -> list[int]:
        """Lines of a program stand as they are; everything else is shuffled, always alike."""
        if question["kind"] == "line":
            return list(range(n))
        return marking.shuffled(n, f"{self.name}/{question['id']}")

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        try:
            self.answer(content["question"], content["answer"])
        except (KeyError, TypeError, ValueError) as error:
            self.send({"problem": str(error), "question": content.get("question")})


def _code(line: str) -> str:
    """A line of a program as safe HTML that keeps its indentation."""
    return f"<code>{escape(line).replace(' ', NBSP)}</code>"


def quiz(name: str | Path) -> Quiz:
    """The quiz of a lesson, ``lab.quiz("02_fedavg")``; put it last in a cell.

    Raises FileNotFoundError that lists the quizzes there are, ValueError for a faulty file.
    """
    return Quiz(Path(name).stem, quiz_file.load(name))
