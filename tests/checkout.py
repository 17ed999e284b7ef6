"""A copy of this checkout, changed files included: for what changes files, or commits."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT


def run(folder, *command, **variables):
    """Run ``command`` in ``folder``, apart from any repository around; stdout holds stderr too."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.org"}
    return subprocess.run(
        command,
        cwd=folder,
        env=env | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def copy(folder):
    """Put into ``folder`` what git knows or would add, the built core, and the environment."""
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = {name for name in listed.stdout.split("\0") if name}
    names |= {str(path.relative_to(ROOT)) for path in (ROOT / "fedcore").glob("*.so")}
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
