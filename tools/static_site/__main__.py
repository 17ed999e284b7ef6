"""``python -m tools.static_site [--out FOLDER] [--most N]``: build the site and check it."""

import argparse
import os
import sys
from pathlib import Path

from .build import build
from .course import ROOT
from .links import problems

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.static_site", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build/site", help="default: build/site")
    parser.add_argument("--most", type=int, help="states of each live panel at most")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    asked = parser.parse_args()
    build(asked.out, ROOT / "build/site-cache", asked.most, asked.jobs)
    wrong = problems(asked.out)
    if wrong:
        sys.exit("\n".join(["Links that lead nowhere:", *wrong]))
    files = [path for path in asked.out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(
        f"{len(files)} files, {size:.1f} MB: open {asked.out / 'index.html'}, no server is needed."
    )
