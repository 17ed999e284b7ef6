"""nbgrader's autograding, with our engine in place of a kernel that the answer can patch."""

from __future__ import annotations

import os
from typing import Any

from nbformat.v4 import new_output
from nbgrader.preprocessors import NbGraderPreprocessor

from fedcore.grading.engine import grade
from fedcore.grading.exercise import find


class Apart(NbGraderPreprocessor):
    """Gives each graded cell the output that nbgrader reads its points from: an error, or none.

    Nothing of the submission is executed here; ``fedcore.grading.engine`` runs its answers in
    processes of their own.
    """

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Grade ``nb`` against the exercise it was handed in for."""
        exercise = find(os.path.basename(resources["unique_key"]))
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        results = {r.check.id: r for r in grade(exercise, [cell.source for cell in code])}
        for cell in code:
            cell.outputs, cell.execution_count = [], None
            settings = cell.metadata.get("nbgrader", {})
            if settings.get("grade"):
                result = results[settings["grade_id"]]
                if result.points < result.check.points:
                    text = f"{result.check.title}: {result.message}"
                    cell.outputs = [
                        new_output("error", ename="NotRight", evalue=text, traceback=[text])
                    ]
        return nb, resources
