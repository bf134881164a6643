"""A job file, checked and completed: settings, their origins, the command."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import ELOOP
from pathlib import Path
from typing import Any

from dispatcher.domain.job import JobConfig
from dispatcher.errors import JobFileError, Problem
from dispatcher.jobfile.assembly import Assembly
from dispatcher.jobfile.check import listed
from dispatcher.jobfile.missing import missing
from dispatcher.jobfile.words import appended
from dispatcher.jobfile.yaml import DEEPEST, LARGEST, Document, parse

_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th", "ð": "d", "ı": "i"})
"""Letters that do not come apart into one of ASCII and an accent."""


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job that is valid. `origins` tells of each setting where it comes from; `bound` are those that `run` takes.

    `command` is `run` with its `${…}` filled in and more words at its end. `sha256` is that of all the plan depends on.
    `notes` are what somebody who reads the plan should know of how it was read.
    """

    config: JobConfig
    path: Path | None
    name: str
    workdir: Path
    text: str
    sha256: str
    origins: dict[str, str]
    bound: frozenset[str]
    command: str
    notes: tuple[str, ...] = ()


def load(path: str | Path, *, sets: Mapping[str, Any] | None = None, extra_args: Sequence[str] = ()) -> LoadedJob:
    """The job in a file. `sets` change settings, `extra_args` are appended to the command.

    Raises JobFileError with all its problems.
    """
    file = Path(path)
    document = parse(_bytes(file))
    assembly = Assembly(document, origin="yaml", sets=sets or {}, extra=tuple(extra_args), folder=file.parent)
    workdir = _below(file.parent, assembly.checker.tree.data.get("workdir", "."))
    if not os.path.isdir(workdir):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        assembly.note(("workdir",), *_no_folder(workdir))
    config = assembly.settings()
    if config is None or assembly.problems:
        from dispatcher.jobfile.foreign import told

        foreign = None if "import" in assembly.data else told(file.name, document.data)
        raise foreign or JobFileError(file.name, listed(assembly.problems))
    return finished(assembly, config, file, workdir, "\n".join(document.lines))


def from_mapping(
    mapping: Mapping[str, Any], *, sets: Mapping[str, Any] | None = None, extra_args: Sequence[str] = ()
) -> LoadedJob:
    """The job in a mapping, which is what the YAML would be. None is "not said". Raises JobFileError."""
    document = Document(data=_plain(mapping, 0))
    assembly = Assembly(document, origin="mapping", sets=sets or {}, extra=tuple(extra_args), folder=Path())
    config = assembly.settings()
    if config is None or assembly.problems:
        raise JobFileError("the job", listed(assembly.problems))
    return finished(assembly, config, None, _below(Path(), config.workdir), "")


def legal_name(stem: str) -> str:
    """The text as a job's name: lower-case letters, digits and hyphens, at most 39; letters lose their accents."""
    from unicodedata import normalize

    plain = normalize("NFKD", stem.lower().translate(_LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:39].rstrip("-") or "job"


def finished(assembly: Assembly, config: JobConfig, file: Path | None, workdir: Path, text: str) -> LoadedJob:
    """What was assembled, as one job with its name, digest and command."""
    command = appended(assembly.command(config), assembly.extra)
    return LoadedJob(
        config=config,
        path=file,
        name=config.name or legal_name(file.stem if file else "job"),
        workdir=workdir,
        text=text,
        sha256=assembly.digest(command),
        origins=assembly.origins,
        bound=assembly.bound,
        command=command,
        notes=(*assembly.notes, *(missing(config, workdir, command, assembly.notes) if file else ())),
    )


def _bytes(file: Path) -> bytes:
    """At most a little more than is allowed: a device or a huge file is not read to its end."""
    try:
        if file.is_fifo():  # opening one would wait for a writer that never comes
            raise JobFileError(file.name, [Problem(f"{file} is a pipe, not a file.", "Name the job file itself.")])
        with file.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except FileNotFoundError:
        problem = Problem(f"{file} does not exist.", "Check the path; mlrun init writes a job file.")
    except IsADirectoryError:
        problem = Problem(f"{file} is not a file.", "Name the job file itself.")
    except PermissionError:
        problem = Problem(f"{file} may not be read by you.", f"chmod u+r {file}")
    except (OSError, ValueError) as error:
        problem = Problem(f"{str(file)!r} cannot be read: {getattr(error, 'strerror', None) or error}.", "Check the path.")
    raise JobFileError(file.name or str(file), [problem])


def _below(folder: Path, workdir: Any) -> Path:
    try:
        return (folder / Path(str(workdir)).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError):
        return folder / str(workdir)


def _no_folder(workdir: Path) -> tuple[str, str]:
    shown = str(workdir) if len(str(workdir)) <= 160 else f"{str(workdir)[:160]}…"
    if os.path.lexists(workdir):
        what = "is a loop of links" if _loops(workdir) else "is not a folder"
        return f"workdir {shown} {what}.", "Name the folder that holds the script."
    return f"workdir {shown} does not exist.", "It is relative to the job file; leave it out for the job file's own folder."


def _loops(path: Path) -> bool:
    try:
        path.stat()
    except OSError as why:
        return why.errno == ELOOP
    return False


def _plain(value: Any, depth: int) -> Any:
    """Mappings and sequences of any kind as dicts and lists; numbers of other libraries as Python's."""
    if depth > DEEPEST:
        raise JobFileError("the job", [Problem(f"nested deeper than {DEEPEST} levels.", "Write it flatter.")])
    if isinstance(value, Mapping):
        return {str(key): _plain(one, depth + 1) for key, one in value.items() if one is not None}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one, depth + 1) for one in value]
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, (str, int, float, bool)) and hasattr(value, "item"):
        return value.item()
    return value
