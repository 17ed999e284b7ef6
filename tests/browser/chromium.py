"""The browser: Debian's Chromium, or whatever of its family is installed."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VARIABLE = "FEDCORE_BROWSER"
HOW = (
    "no browser found. Debian, Ubuntu: apt install chromium. One that lies elsewhere: "
    f"{VARIABLE}=/path/to/chromium"
)
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def find():
    """The path of a browser, or None. The environment's ``FEDCORE_BROWSER`` comes first.

    Raises FileNotFoundError if that variable names no program.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted:
        found = shutil.which(wanted)
        if not found:
            raise FileNotFoundError(f"{VARIABLE}={wanted}: there is no such program")
        return found
    return next(filter(None, map(shutil.which, NAMES)), None)


def missing(environment):
    """What to do without a browser: ("skip" or "fail", the reason). Under CI it is a failure."""
    return ("fail" if environment.get("CI") == "true" else "skip"), HOW


def launch(playwright, path):
    """A headless browser; Chromium's sandbox refuses to run as root, so root does without."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if root else [])]
    return playwright.chromium.launch(executable_path=path, args=arguments)
