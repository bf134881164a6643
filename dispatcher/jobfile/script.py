"""A job read from a script; what it leaves open is asked."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dispatcher.errors import JobFileError, Problem
from dispatcher.jobfile.assembly import Assembly
from dispatcher.jobfile.check import listed
from dispatcher.jobfile.described import Described, described
from dispatcher.jobfile.load import LoadedJob, finished
from dispatcher.jobfile.source import ScriptFacts, facts_of
from dispatcher.jobfile.survey import home_of
from dispatcher.jobfile.yaml import Document

DESCRIPTION = {
    "tabular": ("model.algorithm", "dataset.samples", "dataset.columns"),
    "transformer": ("model.name", "model.sequence_length", "training.batch_size"),
    "vision": ("model.name", "training.batch_size"),
    "": ("model.name", "training.batch_size"),
}
"""What a plan cannot do without, by the kind of work."""

COMPUTED = (
    "model.trees", "model.depth", "model.leaves", "model.bins", "model.search.candidates", "model.search.folds",
    "training.precision", "training.gradient_accumulation",
)  # fmt: skip
"""What has a default that the script replaces with something that cannot be read: then it is asked for."""

EXAMPLES = {
    "model.name": "resnet50", "model.algorithm": "random-forest", "dataset.samples": "100000", "dataset.columns": "20",
    "model.sequence_length": "512", "training.batch_size": "32", "training.epochs": "3", "model.trees": "100",
    "model.depth": "6", "model.leaves": "31", "model.bins": "256", "model.search.candidates": "12", "model.search.folds": "5",
    "model.layers": "12", "model.hidden": "768", "model.heads": "12", "model.vocab": "50257", "training.precision": "amp-bf16",
    "training.gradient_accumulation": "1",
}  # fmt: skip
ASKED = {
    "model.name": "which model it trains",
    "model.algorithm": "which estimator it fits",
    "dataset.samples": "how many samples or rows it learns from",
    "dataset.columns": "how many columns the table has",
    "training.epochs": "how long it trains (or training.steps)",
}
OWN_SHAPE = ("model.layers", "model.hidden", "model.heads", "model.vocab")


def load_script(path: str | Path, *, sets: Mapping[str, Any] | None = None) -> LoadedJob:
    """The job that a script is, without a job file: it is parsed, never executed.

    `sets` may name any setting. Raises JobFileError where it is no script, or says too little; then it names what to give.
    """
    file = Path(path)
    facts = facts_of(file)
    folder, name = home_of(file)
    given = dict(sets or {})
    told = described(facts, folder, wanted=_wanted(given))
    data = nested({setting: value.value for setting, value in told.settings.items()})
    data["run"] = command(name, told)
    origins = {setting: value.origin for setting, value in told.settings.items()}
    assembly = Assembly(Document(data=data), origin=f"read in {file.name}", sets=given, extra=(), origins=origins, free=True)
    config = assembly.settings()
    missing = list(_missing(told, assembly, facts)) if config else []
    if config is None or assembly.problems or missing:
        raise JobFileError(file.name, listed([*assembly.problems, *missing]))
    return replace(finished(assembly, config, file, folder, ""), notes=told.notes)


def command(script: str, told: Described) -> str:
    """How the script is started: with the flags through which settings can be changed."""
    bound = [f"{value.flag} ${{{setting}}}" for setting, value in told.settings.items() if value.flag]
    return " ".join(["python", shlex.quote(script), *bound])


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    found: dict[str, Any] = {}
    for setting, value in settings.items():
        *above, name = setting.split(".")
        here = found
        for part in above:
            here = here.setdefault(part, {})
        here[name] = value
    return found


def _wanted(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Words that choose between several estimators."""
    return tuple(str(given[key]) for key in ("model.algorithm", "model.library", "model.name", "model") if key in given)


def _missing(told: Described, assembly: Assembly, facts: ScriptFacts) -> Iterator[Problem]:
    """What nobody has said: each with the reason where the script computes it, and how to give it."""
    for setting in _needed(told, assembly):
        reason = told.unread.get(setting, "") or _trouble(told, setting)
        line = int(reason.split()[1]) if reason.startswith("line ") and reason.split()[1].isdigit() else 0
        what = ASKED.get(setting, "")
        why = f": {reason}" if reason else f": the script does not say {what}" if what else ": the script does not say"
        source = facts.lines[line - 1][:200] if 0 < line <= len(facts.lines) else ""
        value = told.rivals[0].name if told.rivals and setting == "model.algorithm" else EXAMPLES.get(setting, "…")
        fix = f"--set {setting}={value}, with your value."
        begin = len(source) - len(source.lstrip())
        yield Problem(
            f"{setting} is unknown{why}.", fix, line if source else 0, begin + 1, len(source.strip()), source, setting
        )


def _trouble(told: Described, setting: str) -> str:
    """What is wrong with the file that would have told a setting of the data."""
    path = told.settings.get("dataset.path")
    if not setting.startswith("dataset.") or path is None:
        return ""
    return next((note.removesuffix(".") for note in told.notes if note.startswith(str(path.value))), "")


def _needed(told: Described, assembly: Assembly) -> Iterator[str]:
    def there(*settings: str) -> bool:
        return any(assembly.stated(one) is not None for one in settings)

    if told.rivals and not there("model.algorithm"):
        yield "model.algorithm"
    if told.family == "transformer" and not there("model.name", "model.config") and there(*OWN_SHAPE):
        yield from (setting for setting in OWN_SHAPE if not there(setting))
    custom = assembly.stated("model.family") in ("custom", "torch")
    for setting in () if custom else DESCRIPTION[told.family]:
        sized = setting.startswith("dataset.") and there("dataset.size") and there("dataset.samples", "dataset.columns")
        shaped = setting == "model.name" and there(*OWN_SHAPE)
        other = setting == "model.name" and there("model.algorithm", "model.config", "model.family")
        if not (there(setting) or sized or shaped or other or (setting == "model.algorithm" and told.rivals)):
            yield setting
    if told.family != "tabular" and not there("model.algorithm", "model.library"):
        if not there("training.epochs", "training.steps", "training.tokens"):
            yield "training.epochs"
        if not there("training.steps", "training.tokens", "dataset.samples"):
            yield "dataset.samples"
    yield from (setting for setting in COMPUTED if setting in told.unread and not there(setting))
