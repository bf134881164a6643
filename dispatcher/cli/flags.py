"""Flags that stand for keys of the job file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli.completing import places
from dispatcher.errors import JobFileError, Problem, UsageError

if TYPE_CHECKING:
    from dispatcher.domain.plan import GpuRequest

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


@contextmanager
def by_flag(flags: Mapping[str, Any]) -> Iterator[None]:
    """What is wrong with settings that flags gave is told of the flags; where nothing else is wrong, it is the command line."""
    try:
        yield
    except JobFileError as error:
        told = [replace(one, path=_flag(one.path, flags)) for one in error.problems]
        if not all(one.path.startswith("--") for one in told):
            error.problems = told
            raise
        words = [_sentence(one) for one in told]
        raise UsageError(" ".join([*words[:-1], f"{told[-1].path}: {told[-1].message}"]), fix=told[-1].fix) from None


def _flag(path: str, flags: Mapping[str, Any]) -> str:
    """The flag that gave what a problem is about, as it was typed; the path itself where the file did."""
    key = path.partition("=")[0]
    if not path.endswith("on the command line"):
        return path
    name = next((name for name, ours in {**KEYS, "gpu": "resources.gpu"}.items() if ours == key), "")
    given = flags.get(name)
    if given is None or key in pairs(flags["sets"]):
        return f"--set {path.removesuffix(' on the command line')}"
    return ("--spot" if given else "--no-spot") if name == "spot" else f"--{name.replace('_', '-')} {given}"


def _sentence(problem: Problem) -> str:
    return f"{problem.path}: {problem.message} {problem.fix}".rstrip()


def known_gpu(flags: Mapping[str, Any], asked: tuple[GpuRequest, ...] | None) -> None:
    """A GPU of --gpu that no table knows is a slip, unless a computer of the user's own may have it."""
    if not flags.get("gpu") or "resources.gpu" in pairs(flags["sets"]):
        return
    from dispatcher import catalog
    from dispatcher.jobfile.settings import sound_settings
    from dispatcher.planner.matching import same_name

    known = [one.name for one in catalog.accelerators()]
    for name in (one.name for one in asked or () if one.name):
        if catalog.find_accelerator(name) or any(same_name(name, one) for one in known) or sound_settings()[0].hosts:
            continue
        near = ", ".join(catalog.similar_accelerators(name))
        raise UsageError(
            f"--gpu {flags['gpu']}: no GPU {name!r} is known.", fix=f"Did you mean {near}?" if near else "mlrun catalog show"
        )
