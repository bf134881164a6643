"""Secrets from the environment, .env or the keyring; they never show."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher.errors import JobFileError, Problem

if TYPE_CHECKING:
    from dispatcher.domain.job import JobConfig
    from dispatcher.jobfile.check import Checker
    from dispatcher.jobfile.load import LoadedJob

SERVICE = "dispatcher"
LARGEST_ENV = 1_000_000
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Secret:
    """A value that shows as ***; `reveal` gives it to the job's environment, and to nothing else."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written down")


def resolve(names: Iterable[str], workdir: Path, environment: Mapping[str, str] | None = None) -> dict[str, Secret]:
    """The secrets of these names. Raises JobFileError that lists all that are missing, and where they were looked for."""
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    around = os.environ if environment is None else environment
    written = read_env(workdir / ".env")
    keyring = _keyring()
    found: dict[str, Secret] = {}
    for name in wanted:
        secret = _find(name, around, written, keyring)
        if secret:
            found[name] = secret
    missing = [name for name in wanted if name not in found]
    if missing:
        raise JobFileError("secrets", [_missing(name, workdir, with_keyring=keyring is not None) for name in missing])
    return found


def known(names: Iterable[str], workdir: Path) -> dict[str, Secret]:
    """As `resolve`, without those that are not found, or cannot be read."""
    found: dict[str, Secret] = {}
    for name in names:
        with contextlib.suppress(JobFileError):
            found |= resolve([name], workdir)
    return found


def look_up(loaded: LoadedJob) -> dict[str, Secret]:
    """The secrets that a job names. Raises JobFileError with the place in the job file of each that is missing."""
    try:
        return resolve(loaded.config.secrets, loaded.workdir)
    except JobFileError as error:
        if any(problem.line for problem in error.problems) or not loaded.text:
            raise
        raise JobFileError(loaded.path.name if loaded.path else loaded.name, _placed(error.problems, loaded)) from None


def _placed(problems: list[Problem], loaded: LoadedJob) -> list[Problem]:
    from dispatcher.domain.job import JobConfig
    from dispatcher.jobfile.check import Checker
    from dispatcher.jobfile.refused import REFUSED
    from dispatcher.jobfile.yaml import parse

    checker = Checker(parse(loaded.text.encode()), JobConfig, REFUSED)
    written = [str(name) for name in checker.named().data.get("secrets") or ()]
    return [_at(problem, written, checker) for problem in problems]


def _at(problem: Problem, written: list[str], checker: Checker[JobConfig]) -> Problem:
    name = problem.path.removeprefix("secrets.")
    if name not in written:
        return problem
    return checker.problem(("secrets", written.index(name)), problem.message, problem.fix)


def read_env(file: Path) -> dict[str, str]:
    """The values in a .env file; {} where there is none. Raises JobFileError where a line cannot be read."""
    try:
        with file.open("rb") as stream:
            text = stream.read(LARGEST_ENV).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise JobFileError(str(file), [Problem(f"{file} cannot be read: {reason}.")]) from None
    return _parsed(file, text.replace("\r\n", "\n"))


def _parsed(file: Path, text: str) -> dict[str, str]:
    """Lines are not quoted in errors: what cannot be read may be a secret."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line, number = lines[at].strip(), at + 1
        at += 1
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if not found:
            problems.append(Problem("not NAME=value.", "Write NAME=value, one a line.", line=number, column=1))
            continue
        name, rest = found[1], found[2]
        if rest[:1] == '"':
            while not _DOUBLE.fullmatch(rest) and at < len(lines):
                rest += "\n" + lines[at]
                at += 1
        value = _value(rest)
        if value is None or "\0" in value:
            problems.append(Problem(f"the value of {name} cannot be read.", "Close its quote.", line=number, column=1))
        else:
            values[name] = value
    if problems:
        raise JobFileError(str(file), problems)
    return values


def _value(text: str) -> str | None:
    if text[:1] == '"':
        double = _DOUBLE.fullmatch(text)
        return re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[1]), double[1]) if double else None
    if text[:1] == "'":
        single = _SINGLE.fullmatch(text)
        return single[1] if single else None
    return re.split(r"\s+#", text, maxsplit=1)[0].strip()


def _find(
    name: str, around: Mapping[str, str], written: Mapping[str, str], keyring: Callable[[str], str | None] | None
) -> Secret | None:
    if around.get(name):
        return Secret(around[name], "environment")
    if written.get(name):
        return Secret(written[name], ".env")
    kept = keyring(name) if keyring else None
    return Secret(kept, "keyring") if kept else None


def _keyring() -> Callable[[str], str | None] | None:
    """Ask the system's keyring, where the keyring package is installed."""
    if importlib.util.find_spec("keyring") is None:
        return None
    library = importlib.import_module("keyring")

    def ask(name: str) -> str | None:
        try:
            kept: str | None = library.get_password(SERVICE, name)
        except library.errors.KeyringError:
            return None
        return kept

    return ask


def _missing(name: str, workdir: Path, *, with_keyring: bool) -> Problem:
    places = f"the environment, {workdir / '.env'}" + (" and the keyring" if with_keyring else "")
    ways = f"export {name}=…, or write {name}=… to .env"
    return Problem(
        f"the secret {name} is in none of: {places}.",
        ways + (f", or: keyring set {SERVICE} {name}" if with_keyring else "") + ".",
        path=f"secrets.{name}",
    )
