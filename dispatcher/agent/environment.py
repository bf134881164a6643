"""Makes a Python environment of what a file lists, or reuses it.

python3 environment.py FOLDER [FILE]. FILE is a lock file, or a list for pip; it stands in the folder where this runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from typing import List

BASE = getattr(sys, "_base_executable", None) or sys.executable
"""The computer's own Python, also where this runs from an environment that is about to be replaced."""


def main(argv: List[str]) -> int:
    """Make it, unless it is there."""
    folder, file = argv[1], argv[2] if len(argv) > 2 else ""
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of one project take turns
        if _ready(folder):
            os.utime(os.path.join(folder, ".ready"))
            return 0
        shutil.rmtree(folder, ignore_errors=True)
        print("A Python environment is made%s." % (" by " + file if file else ""), flush=True)
        code = _make(folder) or (_fill(folder, file) if file else 0)
        if code == 0:
            with open(os.path.join(folder, ".ready"), "w") as mark:
                mark.write(_mark())
        return code


def _make(folder: str) -> int:
    """With the packages of the system in sight: a machine image may bring a framework that fits its driver."""
    venv = [BASE, "-m", "venv", "--system-site-packages"]
    done = subprocess.run([*venv, folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 0:
        return 0
    shutil.rmtree(folder, ignore_errors=True)  # systems that split Python leave pip out: whoever installs nothing needs none
    if subprocess.run([*venv, "--without-pip", folder], check=False).returncode == 0:
        return 0
    print(done.stdout.decode("utf-8", "replace"), file=sys.stderr)
    print("No Python environment can be made here: install the package python3-venv.", file=sys.stderr)
    return 1


def _fill(folder: str, file: str) -> int:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env.update(VIRTUAL_ENV=folder, UV_PROJECT_ENVIRONMENT=folder, POETRY_VIRTUALENVS_CREATE="false", PIP_NO_INPUT="1")
    env["PATH"] = os.path.join(folder, "bin") + os.pathsep + env.get("PATH", os.defpath)
    for argv in _commands(folder, file):
        print("+ " + " ".join(argv), flush=True)
        try:
            code = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, check=False).returncode
        except OSError as error:
            print("%s cannot be run: %s" % (argv[0], error.strerror), file=sys.stderr)
            code = 1
        if code:
            return code
    return 0


def _commands(folder: str, file: str) -> List[List[str]]:
    python, uv = os.path.join(folder, "bin", "python"), shutil.which("uv")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if file == "uv.lock":
        sync = ["sync", "--frozen", "--no-install-project", "--active"]
        return [[uv, *sync]] if uv else [[*pip, "uv"], [os.path.join(folder, "bin", "uv"), *sync]]
    if file == "poetry.lock":
        return [[*pip, "poetry"], [os.path.join(folder, "bin", "poetry"), "install", "--no-root", "--no-interaction"]]
    return [[uv, "pip", "install", "--quiet", "--python", python, "-r", file]] if uv else [[*pip, "-r", file]]


def _ready(folder: str) -> bool:
    """Made whole, by the Python that is here now."""
    with contextlib.suppress(OSError), open(os.path.join(folder, ".ready")) as file:
        return file.read() == _mark()
    return False


def _mark() -> str:
    return "%s %s" % (os.path.realpath(BASE), sys.version.split()[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv))
