"""The settings that hold for every job: config.yaml, the environment, defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from dispatcher import paths
from dispatcher.domain.values import Form, Strict, short
from dispatcher.errors import JobFileError, Problem
from dispatcher.jobfile.check import Checker, listed
from dispatcher.jobfile.keys import Key, every, resolve
from dispatcher.jobfile.yaml import LARGEST, Document, leaves, parse, scalar

PREFIX = "DISPATCHER_"
SHELL_WORDS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
NOT_SETTINGS = frozenset({"DISPATCHER_GCP_ENDPOINT", "DISPATCHER_GCP_HOST_ENDPOINT"})
"""Variables that begin like a section's, and mean something else."""


def _share(value: Any) -> Any:
    """20% is 0.2."""
    if isinstance(value, str) and value.strip().endswith("%"):
        text = value.strip()[:-1].strip()
        number = scalar(text)
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise ValueError(f"{value!r} is not a share. Write 20% or 0.2")
        value = number / 100
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 0.9:
        raise ValueError(f"{short(value)} is not a share from 0 to 90 %. Write 20% or 0.2")
    return float(value)


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


_SHARE_SCHEMA = {"type": ["number", "string"], "minimum": 0, "maximum": 0.9, "pattern": r"^\s*[0-9.]+\s*%\s*$"}
_WORD = r"^[A-Za-z0-9_][A-Za-z0-9_.@:/-]*$"

Share = Annotated[float, BeforeValidator(_share), Form("20% or 0.2", _SHARE_SCHEMA)]
Word = Annotated[
    str, Field(pattern=_WORD), Form("one word: letters, digits, - _ . @ : /", {"type": "string", "pattern": _WORD})
]
Regions = Annotated[tuple[Word, ...], BeforeValidator(_listed)]
Usd = Annotated[float, Field(gt=0, le=1e9)]


class ListedHost(Strict):
    """A computer that may be used: its name for ssh, and whether others come first."""

    ssh: Word = Field(description="the host's name in the ssh configuration, or user@host")
    share: Literal["idle", "always"] = Field("always", description="idle: only while nobody else uses that GPU")


class Aws(Strict):
    """Amazon Web Services."""

    profile: Word | None = Field(None, description="profile in ~/.aws/config")
    regions: Regions = Field((), description="regions to look in; all if not said")
    subnet: Word | None = Field(None, description="subnet for machines; the default VPC's if not said")
    role: Word | None = Field(None, description="instance profile of machines")


class Gcp(Strict):
    """Google Cloud."""

    project: Word | None = Field(None, description="project that pays")
    regions: Regions = Field((), description="regions to look in; all if not said")
    subnet: Word | None = Field(None, description="subnetwork for machines")


class Limits(Strict):
    """Spending limits for all jobs, USD."""

    per_run: Usd | None = Field(None, description="most that one run may cost")
    per_month: Usd | None = Field(None, description="most that all runs of a month may cost")


class LocalMachine(Strict):
    """This machine."""

    headroom: Share = Field(0.10, description="share of memory kept back, so that the computer stays usable")
    keep_awake: bool = Field(default=True, description="hold off sleep while a job runs")
    learn: bool = Field(default=True, description="correct estimates by what jobs took here; nothing leaves this computer")


Hosts = Annotated[dict[str, ListedHost], Field(max_length=1000)]


class Settings(Strict):
    """Everything in config.yaml."""

    hosts: Hosts = Field(default_factory=dict, description="computers that may be used, by the name used here")
    aws: Aws = Field(default_factory=Aws.model_construct, description="Amazon Web Services")
    gcp: Gcp = Field(default_factory=Gcp.model_construct, description="Google Cloud")
    limits: Limits = Field(default_factory=Limits.model_construct, description="spending limits for all jobs, USD")
    local: LocalMachine = Field(default_factory=LocalMachine.model_construct, description="this machine")


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, the file they were looked for in, and where each comes from."""

    settings: Settings
    file: Path
    origins: dict[str, str] = field(default_factory=dict)


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings that hold now. A missing file is fine. Raises JobFileError with all problems."""
    return read_settings(file, environment).settings


def sound_settings(
    file: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Settings, JobFileError | None]:
    """For whoever only looks after runs: sections with a problem are left at their defaults, and the problems are told."""
    environment = os.environ if environment is None else environment
    try:
        return load_settings(file, environment), None
    except JobFileError as error:
        wrong = frozenset(problem.path.partition(".")[0] for problem in error.problems)
        rest = {name: text for name, text in environment.items() if not wrong & {name, _section(name)}}
        try:
            return read_settings(file, rest, without=wrong).settings, error
        except JobFileError:  # of a file that cannot be read, or is no settings at all, nothing holds
            return Settings.model_construct(), error


def read_settings(
    file: Path | None = None, environment: Mapping[str, str] | None = None, *, without: frozenset[str] = frozenset()
) -> LoadedSettings:
    """Settings with their origins: the environment (DISPATCHER_LIMITS_PER_RUN) over the file over defaults."""
    source = file or paths.config_dir() / "config.yaml"
    document = _document(source)
    if without and isinstance(document.data, dict):
        document.data = {key: value for key, value in document.data.items() if key not in without}
    environment = os.environ if environment is None else environment
    if document.data is None and not document.problems and not any(map(_sets, environment)):
        return LoadedSettings(Settings.model_construct(), source)
    checker = Checker(document, Settings, {}, kind="config.yaml")
    if document.data is not None or document.problems:
        checker.named()
    origins = {
        ".".join(map(str, path)): f"line {place.line}" if (place := checker.place(path)) else source.name
        for path, _ in leaves(checker.tree.data)
    }
    _from_environment(environment, checker, origins)
    settings = None if document.broken else checker.settings()
    if settings is None or checker.tree.problems:
        raise JobFileError(str(source), listed(checker.tree.problems))
    return LoadedSettings(settings, source, origins)


def show(file: Path | None = None, environment: Mapping[str, str] | None = None) -> list[tuple[str, Any, str]]:
    """Each setting with its value and its origin, for `mlrun config show`."""
    loaded = read_settings(file, environment)
    rows: list[tuple[str, Any, str]] = []
    for path, _ in every(Settings):
        value: Any = loaded.settings
        for part in path:
            value = getattr(value, part)
        name = ".".join(path)
        if name == "hosts":
            rows += [(f"hosts.{host}", _host(one), loaded.origins.get(f"hosts.{host}.ssh", "")) for host, one in value.items()]
            continue
        rows.append((name, list(value) if isinstance(value, tuple) else value, loaded.origins.get(name, "default")))
    return rows


def _host(one: ListedHost) -> str:
    return f"ssh {one.ssh}, {one.share}"


def _document(file: Path) -> Document:
    try:
        with file.open("rb") as stream:
            return parse(stream.read(LARGEST + 1))
    except (FileNotFoundError, NotADirectoryError):
        return Document()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise JobFileError(str(file), [Problem(f"{file} cannot be read: {reason}.", f"chmod u+r {file}")]) from None


def _sets(name: str) -> bool:
    """Whether a variable is meant to be a setting: its name begins like a section's."""
    return name.startswith(PREFIX) and _section(name) in Settings.model_fields and name not in NOT_SETTINGS


def _section(name: str) -> str:
    return name.removeprefix(PREFIX).partition("_")[0].lower()


def _from_environment(environment: Mapping[str, str], checker: Checker[Settings], origins: dict[str, str]) -> None:
    """DISPATCHER_AWS_PROFILE is aws.profile. A misspelt one is told: it would be without effect, and nobody would know."""
    for name in sorted(environment):
        if not _sets(name):
            continue
        path = _path(name.removeprefix(PREFIX))
        if path is None:
            checker.tree.problems.append(
                Problem(f"{name} is no setting.", "Unset it; names are like DISPATCHER_LIMITS_PER_RUN.", path=name)
            )
            continue
        into = checker.tree.data.setdefault(path[0], {})
        if isinstance(into, dict):
            text = environment[name]
            into[path[1]] = _read(text, resolve(Settings, path)[-1])
            origins[".".join(path)] = name
            checker.tree.stands.pop(path, None)


def _path(rest: str) -> tuple[str, str] | None:
    section, _, name = rest.lower().partition("_")
    keys = resolve(Settings, (section, name))
    return (section, name) if len(keys) == 2 and not keys[-1].section[0] else None


def _read(text: str, key: Key) -> Any:
    """A variable's value; unlike a YAML file, a shell knows no type, so yes and no are the words they look like."""
    if not _wants_scalar(key):
        return text
    yes_no = key.form.schema.get("type") == "boolean"
    return scalar(SHELL_WORDS.get(text.lower(), text) if yes_no else text)


def _wants_scalar(key: Key) -> bool:
    return "string" not in str(key.form.schema.get("type", ""))
