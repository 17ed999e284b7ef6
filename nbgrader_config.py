"""nbgrader's own commands, run in this folder: solutions/ is the source, exercises/ the release.

``make exercises`` and ``make grade`` are the short ways. Grading never runs a submission in a
kernel beside its checks: ``Apart`` takes the place of nbgrader's Execute (see fedcore.grading).
"""

import os

from fedcore.grading.nbgrader_plugin import Apart

c = get_config()  # noqa: F821  given by traitlets

c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))
c.CourseDirectory.course_id = "fedcore"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}
c.Autograde.autograde_preprocessors = [
    Apart,
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
]
