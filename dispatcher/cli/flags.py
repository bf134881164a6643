"""Flags that stand for keys of the job file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from dispatcher.cli.completing import places
from dispatcher.errors import UsageError

JOB = click.argument("job", metavar="JOB", type=click.Path(path_type=Path))
KEYS = {"where": "where", "spot": "spot", "max_cost": "budget.max_cost", "max_time": "budget.max_time"}
"""Flags that stand for one key."""

_SHARED: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--where", metavar="PLACE", shell_complete=places, help="auto, local, cloud, aws, gcp, aws/us-east-1 or ssh:desk."
    ),
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
    click.option("--probe", is_flag=True, help="Run it here first for up to 90 s, on a copy of its folder, and measure."),
    click.option("--trace", is_flag=True, help="Run the model's own code on fake tensors first, for exact figures."),
)


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that planning and running have in common."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def pairs(sets: tuple[str, ...]) -> dict[str, str]:
    """{"training.batch_size": "32"} from KEY=VALUE words."""
    found = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: write KEY=VALUE, like training.batch_size=32")
        found[key.strip()] = value.strip()
    return found


def settings_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """`--set` and the flags that stand for a key, as settings that replace the job file's."""
    found: dict[str, Any] = {key: flags[name] for name, key in KEYS.items() if flags.get(name) is not None}
    if gpu := flags.get("gpu"):
        found["resources.gpu"] = "0" if gpu == "0" else gpu.split(",") if "," in gpu else gpu
    return found | pairs(flags["sets"])
