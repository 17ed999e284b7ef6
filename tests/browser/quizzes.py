"""Answer the questions of a quiz on the page, as a learner does: click, type, move, check."""

import re

from playwright.sync_api import expect

from fedcore.lab.style import plain


def answers(question):
    """(wrong, right): two answers to a question of a quiz's file, in its own terms."""
    kind = question["kind"]
    if kind == "number":
        slack = 10 * (question["tolerance"] + abs(question["answer"]) + 1)
        return str(question["answer"] + slack), str(question["answer"])
    if kind == "order":
        right = list(range(len(question["steps"])))
        return right[::-1], right
    if kind == "line":
        return [(question["wrong"] + 1) % len(question["lines"])], [question["wrong"]]
    right = [i for i, option in enumerate(question["options"]) if option.get("correct")]
    wrong = [i for i, option in enumerate(question["options"]) if not option.get("correct")]
    return (wrong or right)[:1], right


class QuizOnPage:
    """The quiz in a cell; ``questions`` as its file has them."""

    def __init__(self, cell, questions):
        self.root = cell.locator('section[aria-label^="Quiz"]')
        self.questions = questions

    def card(self, i):
        """The card of question ``i``, counted from 0."""
        return self.root.locator(".fc-quiz-item").nth(i)

    def submit(self, i, answer):
        """Give an answer to question ``i`` and press Check."""
        card, kind = self.card(i), self.questions[i]["kind"]
        if kind == "number":
            card.locator("input").fill(answer)
        elif kind == "order":
            _bring_into(card, answer)
        else:
            for box in card.locator("input").all():
                if int(box.get_attribute("value")) in answer:
                    box.check()
                elif kind == "several":
                    box.uncheck()
        card.get_by_role("button", name="Check").click()

    def is_marked(self, i, right):
        """Wait for the verdict on question ``i``; returns the text of the card."""
        card = self.card(i)
        expect(card.locator(".fc-feedback")).to_contain_text("Right." if right else "Not yet.")
        return card.inner_text()

    def explains(self, i, answer, right):
        """Check that the card says why the answer is right or wrong, in the file's words."""
        said = _words(self.card(i).inner_text())
        for why in _whys(self.questions[i], answer, right):
            assert _words(plain(why)) <= said, f"question {i + 1} does not explain: {why}"
        # with no words of the file, there must still be a remark after the verdict
        assert len(said) > len(_words(self.questions[i]["question"])) or right


def _whys(question, answer, right):
    """The explanations that the file has for this answer."""
    kind = question["kind"]
    if kind in ("choice", "several"):
        return [question["options"][i]["why"] for i in answer]
    if kind == "line":
        return [question["why"] if right else question["others"][str(answer[0])]]
    return [question["why"]] if right else []


def _words(text):
    """The words of a text: how maths is set does not matter here."""
    return set(re.findall(r"[^\W\d_]{4,}", text))


def _bring_into(card, order):
    """Move the steps up, one after the other, until they stand in ``order``."""
    for place, step in enumerate(order):
        keys = [
            row.locator("[data-key]").first.get_attribute("data-key")
            for row in card.locator(".fc-steps > li").all()
        ]
        now = [int(re.match(r"\d+", key).group()) for key in keys].index(step)
        for _ in range(now - place):
            card.locator(f'[data-key^="{step}\N{UPWARDS ARROW}"]').click()
