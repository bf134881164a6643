"""Flags that stand for keys of the job file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dispatcher.errors import JobFileError, Problem, UsageError

JOB = click.argument("job", metavar="JOB", type=click.Path(path_type=Path))
NOT_YET = {
    "at": "Scheduling is not part of this version: run it when it is time, or from cron.",
    "probe": "Measured probes are not part of this version: give model, dataset and training in the job file.",
    "trace": "Tracing is not part of this version: give the model's family and sizes in the job file.",
    "on": "Held machines are not part of this version.",
    "keep": "Holding a machine after a failure is not part of this version.",
    "live": "Live prices are not part of this version: the plan says how old its prices are.",
}
"""Flags of the interface that nothing executes yet: refused in one sentence."""

_SHARED: tuple[Callable[[Any], Any], ...] = (
    click.option("--where", metavar="PLACE", help="auto, local, cloud, aws, gcp, aws/us-east-1 or ssh:desk."),
    click.option("--gpu", metavar="GPU", help="T4, L4:1, 24GB+, or 0 for none; on rented and owned machines."),
    click.option("--machine", metavar="TYPE", help="One machine type: aws:g5.xlarge."),
    click.option("--spot/--no-spot", default=None, help="Only spot machines, or none."),
    click.option("--max-cost", type=float, metavar="USD", help="Most the whole job may cost."),
    click.option("--max-time", metavar="TIME", help="Most it may take: 2h, 90m, 1h30m."),
    click.option(
        "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change a setting that `run` takes: training.batch_size=32."
    ),
    click.option("--pick", type=click.IntRange(1), metavar="N", help="Take option N of the plan."),
    click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout."),
    click.option("--probe", is_flag=True, hidden=True),
    click.option("--trace", is_flag=True, hidden=True),
)


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that planning and running have in common."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def refuse_unbuilt(flags: Mapping[str, Any]) -> None:
    """Say in one sentence what is not there yet."""
    for name, sentence in NOT_YET.items():
        if flags.get(name):
            raise UsageError(f"--{name}: {sentence}")


def pairs(sets: tuple[str, ...]) -> dict[str, str]:
    """{"training.batch_size": "32"} from KEY=VALUE words."""
    found = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: write KEY=VALUE, like training.batch_size=32")
        found[key.strip()] = value.strip()
    return found


def with_flags(loaded: Any, flags: Mapping[str, Any]) -> Any:
    """The loaded job with the limits and hints that flags replace; each is validated like the key it stands for."""
    from pydantic import ValidationError

    from dispatcher.domain.job import JobConfig

    config = loaded.config
    changes: dict[str, Any] = {}
    if flags.get("where"):
        changes["where"] = flags["where"]
    if flags.get("spot") is not None:
        changes["spot"] = flags["spot"]
    try:
        checked = JobConfig.model_validate({"run": "x", **changes, **_nested(flags)})
    except ValidationError as wrong:
        problems = [Problem(_words(one["msg"]), path="--" + _flag(str(one["loc"][-1]))) for one in wrong.errors()]
        raise JobFileError("the command line", problems) from None
    updates: dict[str, Any] = {name: getattr(checked, name) for name in changes}
    if flags.get("gpu"):
        updates["resources"] = config.resources.model_copy(update={"gpu": checked.resources.gpu})
    limits = {name: getattr(checked.budget, name) for name in ("max_cost", "max_time") if flags.get(name)}
    if limits:
        updates["budget"] = config.budget.model_copy(update=limits)
    return replace(loaded, config=config.model_copy(update=updates)) if updates else loaded


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    gpu = flags.get("gpu")
    budget = {name: flags[name] for name in ("max_cost", "max_time") if flags.get(name)}
    asked = (int(gpu) if gpu.isdigit() else gpu.split(",")) if gpu else None
    return ({"resources": {"gpu": asked}} if gpu else {}) | ({"budget": budget} if budget else {})


def _flag(key: str) -> str:
    return key.replace("_", "-")


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")
