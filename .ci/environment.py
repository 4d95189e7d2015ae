"""Make .venv ready: create it, install mmkit and what it needs, and remember that this is done.

    python3 .ci/environment.py lab     what readers need
    python3 .ci/environment.py dev     that, and what the tests need

Done once, it is done until pyproject.toml, the Python or the place of the checkout changes. An install that was killed
half-way is started afresh. Written so that a Python that is too old can still say so.
"""

import hashlib
import os
import subprocess
import sys

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
UNFINISHED = os.path.join(VENV, ".mmkit-unfinished")
WHAT = {"lab": ".", "dev": ".[dev]"}


def stamp(kind):
    """The file that says that this kind of set-up is done."""
    return os.path.join(VENV, ".mmkit-" + kind)


def key():
    """Text that changes whenever the set-up has to be done again."""
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        return "\n".join([hashlib.sha256(file.read()).hexdigest(), sys.version, ROOT, ""])


def read(path):
    """The text of a file, empty if there is none."""
    try:
        with open(path) as file:
            return file.read()
    except (IOError, OSError):
        return ""


def write(path, text=""):
    """Put a text into a file."""
    with open(path, "w") as file:
        file.write(text)


def run(*command):
    """Show a command and run it; returns whether it succeeded."""
    print("+ " + " ".join(command))
    sys.stdout.flush()
    return subprocess.call(command, cwd=ROOT) == 0


def works():
    """Whether .venv is whole: of this Python's version, with a pip, and no install in it was killed."""
    ask = "import pip, sys; print(sys.version)"
    try:
        answer = subprocess.check_output([PYTHON, "-c", ask], stderr=subprocess.STDOUT).decode()
    except (OSError, subprocess.CalledProcessError):
        return False
    return answer.strip() == sys.version.strip() and not os.path.exists(UNFINISHED)


def create():
    """Create .venv, or create it anew if the one that is there is of no use."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return (
            "This Python (%s) comes without its module venv.\nOn Debian or Ubuntu: apt-get install python3-venv. "
            "Or name another one: make lab PYTHON=/path/to/python3" % sys.executable
        )
    inside = os.path.realpath(sys.prefix) == os.path.realpath(VENV)
    maker = getattr(sys, "_base_executable", sys.executable) if inside else sys.executable
    print("Creating .venv with Python %d.%d.%d" % sys.version_info[:3])
    return "" if run(maker, "-m", "venv", "--clear", VENV) else "The virtual environment could not be created."


def install(kind):
    """Install mmkit, editable, with what that kind needs."""
    print("Installing mmkit and what it needs (a minute or two, the first time)")
    write(UNFINISHED)
    fine = run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--editable", WHAT[kind])
    os.remove(UNFINISHED)
    return "" if fine else "The install failed; what pip says above tells why. Running the same command again is safe."


def main(kind):
    """Do what is not yet done; returns an error message, empty if all is well."""
    if sys.version_info < NEEDED:
        return (
            "mmkit needs Python %d.%d or newer, and %s is Python %d.%d. Name a newer one: make lab PYTHON=python3.12"
            % (NEEDED + (sys.executable,) + tuple(sys.version_info[:2]))
        )
    if read(stamp(kind)) == key() and os.path.exists(PYTHON):
        return ""
    error = "" if works() else create()
    error = error or install(kind)
    if not error:
        for done in ("lab", kind):
            write(stamp(done), key())
    return error


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in WHAT:
        sys.exit("usage: python3 .ci/environment.py lab|dev")
    try:
        sys.exit(main(sys.argv[1]) or 0)
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command starts again where it is safe to.")
