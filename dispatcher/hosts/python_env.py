"""Which Python a job gets: active, the folder's, or PATH's."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["active", "venv", "path"]
ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")
NAMES = ("python", "python3")


@dataclass(frozen=True, slots=True)
class PythonEnv:
    """An interpreter, how it was chosen, the folder to put first on PATH, and its version ("" where its files don't tell)."""

    path: Path
    kind: Kind
    bin_dir: Path
    version: str = ""


def job_python(workdir: Path, environ: Mapping[str, str], *, own_prefix: str = sys.prefix) -> PythonEnv | None:
    """The job's Python; None where there is none.

    mlrun's own environment counts as active only when the user activated it (its bin folder is then on PATH), never because
    mlrun happens to run from it. A `.venv` in the job's folder is the project's, whatever is installed in it.
    """
    return next(_candidates(workdir, environ, Path(own_prefix)), None)


def first_on_path(python: PythonEnv | None, folder: Path) -> str:
    """What a job's PATH begins with, so that `python` and `python3` are one: a name that it lacks is made in `folder`."""
    if python is None:
        return ""
    lacking = [name for name in NAMES if not _runs(python.bin_dir / name)]
    if not lacking:
        return str(python.bin_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in lacking:  # no links: an environment that a link makes depends on the link
            (folder / name).write_text(f'#!/bin/sh\nexec {shlex.quote(str(python.path))} "$@"\n', encoding="utf-8")
            (folder / name).chmod(0o700)
    except OSError:  # a full disk: the names that are there must do
        return str(python.bin_dir)
    return f"{folder}{os.pathsep}{python.bin_dir}"


def without_own(python: PythonEnv | None, environ: Mapping[str, str], *, own_prefix: str | None = None) -> dict[str, str]:
    """PATH without mlrun's own environment, as variables to set; none where it is not on PATH, or is the job's."""
    own = Path(own_prefix or sys.prefix)
    folders = environ.get("PATH", "").split(os.pathsep)
    kept = [folder for folder in folders if not _is_own(folder, own)]
    if kept == folders or (python and _same(python.bin_dir.parent, own)):
        return {}
    return {"PATH": os.pathsep.join(kept)}


def _candidates(workdir: Path, environ: Mapping[str, str], own: Path) -> Iterator[PythonEnv]:
    for variable in ACTIVE:
        prefix = environ.get(variable)
        if prefix and (not _same(Path(prefix), own) or _on_path(Path(prefix), environ)):
            yield from _in_prefix(Path(prefix), "active")
    yield from _in_prefix(workdir / ".venv", "venv")
    yield from _on_search_path(environ, own)


def _in_prefix(prefix: Path, kind: Kind) -> Iterator[PythonEnv]:
    for name in NAMES:
        path = prefix / "bin" / name
        if _runs(path):
            yield PythonEnv(path, kind, path.parent, version_of(prefix))
            return


def _on_search_path(environ: Mapping[str, str], own: Path) -> Iterator[PythonEnv]:
    """The first Python on PATH outside mlrun's own environment."""
    folders = [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    for folder in folders:
        if _is_own(folder, own):
            continue
        for name in NAMES:
            found = shutil.which(name, path=folder)
            if found:
                yield PythonEnv(Path(found), "path", Path(found).parent, version_of(Path(found).parent.parent))
                return


def version_of(prefix: Path) -> str:
    """The version that an environment's pyvenv.cfg states; "" without one."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition("=") for line in lines)
    stated = {key.strip(): value.strip() for key, _, value in pairs}
    return stated.get("version") or ".".join(stated.get("version_info", "").split(".")[:3])


def _on_path(prefix: Path, environ: Mapping[str, str]) -> bool:
    """Activating an environment puts its bin folder on PATH; starting a program by its path does not."""
    folders = environ.get("PATH", "").split(os.pathsep)
    return any(folder and _same(Path(folder), prefix / "bin") for folder in folders)


def _is_own(folder: str, own: Path) -> bool:
    """Whether a folder of PATH is that of mlrun's own environment."""
    return bool(folder) and _is_environment(own) and _same(Path(folder).parent, own)


def _is_environment(prefix: Path) -> bool:
    """Whether this is an environment made for something, not the system's Python."""
    return (prefix / "pyvenv.cfg").is_file() or (prefix / "conda-meta").is_dir()


def _same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve()
    except OSError:
        return False


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
