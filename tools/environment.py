"""Build the virtual environment: ``python tools/environment.py .venv course,test``.

Needs nothing but a Python, of any version: it is the first thing a learner's machine runs, and it
must be able to say, in words, what is missing. Uses uv, which is faster, where uv is installed.
"""

import os
import shutil
import subprocess
import sys

MINIMUM = (3, 10)


def fail(message):
    sys.exit("\n" + message + "\n")


def check_python():
    if sys.version_info < MINIMUM:
        found = ".".join(str(part) for part in sys.version_info[:3])
        fail(
            "This course needs Python 3.10 or newer; `%s` is Python %s.\n"
            "If a newer one is installed under another name, say so:  make lab PYTHON=python3.12"
            % (sys.executable, found)
        )


def check_compiler():
    """Without a compiler the course still runs, on NumPy: say so, and go on."""
    wanted = os.environ.get("CC", "").split()[:1] or ["cc", "gcc", "clang", "cl"]
    if not any(shutil.which(name) for name in wanted):
        print(
            "\nNo C compiler found (looked for: %s). The course will run on its NumPy twin: same\n"
            "results, several times slower. To get the compiled core: install a compiler\n"
            "(Debian, Ubuntu: apt install build-essential; Fedora: dnf install gcc; macOS:\n"
            "xcode-select --install), then run `make clean` and this command again.\n"
            % ", ".join(wanted)
        )


def run(*command):
    code = subprocess.call(command)
    if code:
        fail("This step failed (exit code %d):\n  %s" % (code, " ".join(command)))


def make_venv(folder, uv):
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    if not os.path.exists(python):
        if uv:
            run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder)
        else:
            try:
                import ensurepip  # noqa: F401
            except ImportError:
                fail(
                    "This Python has no venv module with pip. On Debian and Ubuntu:\n"
                    "  apt install python3-venv"
                )
            run(sys.executable, "-m", "venv", folder)
    return python


def install(folder, extras):
    uv = shutil.which("uv")
    python = make_venv(folder, uv)
    target = ".[%s]" % extras
    print("Installing the course into %s (the first time this takes a minute) ..." % folder)
    if uv:
        # --reinstall-package: uv would not notice that only the .pyx has changed.
        fresh = ["--reinstall-package", "fedcore"]
        run(uv, "pip", "install", "--quiet", "--python", python, "-e", target, *fresh)
    else:
        run(python, "-m", "pip", "install", "--quiet", "-e", target)
    labextension = os.path.join(os.path.dirname(python), "jupyter-labextension")
    if os.path.exists(labextension):  # no news pop-up, no buttons that only a teacher needs
        hidden = ["@jupyterlab/apputils-extension:announcements"]
        teachers = ("create-assignment", "course-list", "assignment-list", "formgrader", "menu")
        hidden += ["@jupyter/nbgrader:" + part for part in teachers]
        command = [labextension, "disable", "--level=sys_prefix"] + hidden  # noqa: RUF005
        subprocess.call(command, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        fail("usage: python tools/environment.py FOLDER EXTRAS")
    check_python()
    check_compiler()
    install(sys.argv[1], sys.argv[2])
