"""Build the virtual environment: ``python tools/environment.py .venv course,test``.

Needs nothing but a Python, of any version, and neither make nor a shell: it is the first thing a
learner's machine runs, and it must be able to say, in words, what is missing. Uses uv, which is
faster, where uv is installed. With no arguments: ``.venv course``.
"""

import os
import shutil
import subprocess
import sys

MINIMUM = (3, 10)
FLOWER_MINIMUM = (3, 11)  # of flwr 1.42


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


ADVICE = """
%s The course runs on its NumPy twin: same
results, several times slower. To get the compiled core: install a compiler and Python's headers
(Debian, Ubuntu: apt install build-essential python3-dev; Fedora: dnf install gcc python3-devel;
macOS: xcode-select --install), then run `make clean` and this command again.
"""


def check_compiler():
    """Without a compiler the course still runs, on NumPy: say so, and go on.

    False if it has been said. Windows keeps its compiler out of the search path: see check_core.
    """
    wanted = os.environ.get("CC", "").split()[:1] or ["cc", "gcc", "clang"]
    if os.name == "nt" or any(shutil.which(name) for name in wanted):
        return True
    print(ADVICE % ("No C compiler found (looked for: %s)." % ", ".join(wanted)))
    return False


def check_core(python):
    """A compiler alone is not enough (headers, a licence not accepted): look at the result."""
    code = "import sys, fedcore; sys.exit(not fedcore.info()['compiled'])"
    if subprocess.call([python, "-W", "ignore", "-c", code]):
        print(ADVICE % "The compiled core could not be built.")


def run(*command):
    code = subprocess.call(command)
    if code:
        fail("This step failed (exit code %d):\n  %s" % (code, " ".join(command)))


def program(folder, name, windows=os.name == "nt"):
    """Path of a program of the environment in ``folder``."""
    return os.path.join(folder, *(["Scripts", name + ".exe"] if windows else ["bin", name]))


def possible(extras):
    """The extras without ``flower`` where this Python is too old for it: its tests are skipped."""
    if sys.version_info < FLOWER_MINIMUM and "flower" in extras.split(","):
        print("Flower needs Python 3.11: leaving it out, and skipping what needs it.")
        return ",".join(extra for extra in extras.split(",") if extra != "flower")
    return extras


def make_venv(folder, uv):
    python = program(folder, "python")
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
    """Returns the environment's Python."""
    uv = shutil.which("uv")
    python = make_venv(folder, uv)
    target = ".[%s]" % possible(extras)
    print("Installing the course into %s (the first time this takes minutes) ..." % folder)
    sys.stdout.flush()
    if uv:
        # --reinstall-package: uv would not notice that only the .pyx has changed.
        # --compile-bytecode: pip does that by itself; without it every process that starts may have
        # to read all sources anew (PYTHONDONTWRITEBYTECODE), three times as long for Flower's.
        fresh = ["--reinstall-package", "fedcore", "--compile-bytecode"]
        run(uv, "pip", "install", "--quiet", "--python", python, "-e", target, *fresh)
    else:
        os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"  # nothing that a learner has to act on
        run(python, "-m", "pip", "install", "--quiet", "-e", target)
    hide_teachers_buttons(program(folder, "jupyter-labextension"))
    return python


def hide_teachers_buttons(labextension):
    """No news pop-up, no buttons that only a teacher needs."""
    if os.path.exists(labextension):
        hidden = ["@jupyterlab/apputils-extension:announcements"]
        teachers = ("create-assignment", "course-list", "assignment-list", "formgrader", "menu")
        hidden += ["@jupyter/nbgrader:" + part for part in teachers]
        command = [labextension, "disable", "--level=sys_prefix"] + hidden  # noqa: RUF005
        subprocess.call(command, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    if len(sys.argv) not in (1, 3):
        fail("usage: python tools/environment.py FOLDER EXTRAS")
    check_python()
    told = not check_compiler()
    environment_python = install(*(sys.argv[1:] or [".venv", "course"]))
    if not told:
        check_core(environment_python)
