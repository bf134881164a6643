"""`mlrun JOB` and `mlrun plan JOB`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli.flags import JOB, by_flag, known_gpu, settings_of, shared
from dispatcher.cli.render.console import dim, document, say, width
from dispatcher.errors import NothingFits, UsageError

if TYPE_CHECKING:
    from dispatcher.domain.plan import Plan
    from dispatcher.jobfile.load import LoadedJob

AFTER = "dispatcher.after"
RUN_HELP = """Plan a job, then run it: here if this machine is capable.

\b
  mlrun train.yaml                              plan and run
  mlrun train.yaml --dry-run                    plan only; nothing is started
  mlrun train.yaml -d                           run in the background
  mlrun train.yaml --at "tonight 23:00"         run later
  mlrun train.yaml --set training.batch_size=32 change a setting that `run` takes
  mlrun train.yaml -- --seed 7                  words after -- go to the job

A free run here of the job as written asks nothing. Exit code: the job's own if it ran to its end; 100 the job file,
101 nothing fits, 102 login needed, 103 the cloud refused, 104 unreachable or not set up, 105 a limit, 106 outcome
unknown, 107 a machine may still cost money, 108 taken back by the cloud, 130 cancelled.
"""
PLAN_HELP = """What a job needs, where it could run, and what that costs. Starts nothing.

\b
  mlrun plan train.yaml
  mlrun plan train.yaml --explain               how each figure comes about
  mlrun plan train.yaml --trace                 exact figures: runs the model's code on fake tensors
  mlrun plan train.yaml --probe                 measured: runs it for up to 90 s on a copy of its folder
  mlrun plan train.yaml --all                   every machine, and why not that one
  mlrun plan train.yaml --device A100-80GB:8    needs and time on that device
  mlrun plan train.yaml --machine aws:c5.9xlarge
  mlrun plan train.yaml -o plan.json            keep it; mlrun train.yaml --plan plan.json
  mlrun plan train.py                           read from the script, which is not executed
"""


class JobCommand(click.Command):
    """Keeps apart what stands after --."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the words after --, which click itself puts with those before."""
        ctx.meta[AFTER] = tuple(args[args.index("--") + 1 :]) if "--" in args else ()
        return super().parse_args(ctx, args)


@click.command(cls=JobCommand, help=RUN_HELP, context_settings={"ignore_unknown_options": False})
@JOB
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("--dry-run", "--dryrun", is_flag=True, help="Plan only; nothing is started.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
@click.option("-d", "--detach", is_flag=True, help="Start it, and return at once.")
@click.option("--setup", "do_setup", is_flag=True, help="Run `setup` here too, in the job's environment.")
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Run a plan kept by `mlrun plan -o`.")
@click.option("-q", "--quiet", is_flag=True, help="Only the job's own output, and errors.")
@click.option("--progress", type=click.Choice(["auto", "tty", "plain", "quiet"]), default="auto", help="How progress is shown.")
@click.option("--at", metavar="TIME", help='Run it later, here: 23:00, "tomorrow 01:00"; see mlrun schedule.')
@click.option("--on", metavar="RUN", help="On the machine that an earlier run holds.")
@click.option("--resume", metavar="RUN", help="Go on from the checkpoint that an earlier run has left here.")
@click.option("--keep", metavar="TIME", help="Where a rented machine's job fails, hold the machine so long: 1h.")
@shared
def run(job: Path, words: tuple[str, ...], **flags: Any) -> int:
    """The verb behind `mlrun JOB`."""
    from dispatcher.jobfile.load import load

    stray = words[: len(words) - len(click.get_current_context().meta[AFTER])]
    if stray:
        raise UsageError(
            f"{stray[0]!r} is too much here: one job file is run.",
            fix=f"words for the job stand after --: mlrun {job} -- {' '.join(words)}",
        )
    if job.suffix in (".py", ".ipynb"):
        raise UsageError(f"{job} is a script, not a job file.", fix=f"mlrun init {job}, or mlrun plan {job}")
    with by_flag(flags):
        loaded = load(job, sets=settings_of(flags), extra_args=words)
    known_gpu(flags, loaded.config.resources.gpu)
    if flags["dry_run"]:
        from dispatcher.cli.main import remind

        code = _show(_planned(loaded, flags), flags)
        remind()
        return code
    if flags["at"] and flags["probe"]:
        raise UsageError("--probe measures now, and --at runs later.", fix=f"mlrun plan {job} --probe, then without it")
    if flags["at"]:
        from dispatcher.cli.schedule import later

        return later([job], flags, words)
    from dispatcher.cli.running import start
    from dispatcher.jobfile.secrets import look_up

    look_up(loaded)  # before the plan: what is missing needs no thinking about

    def again(changes: dict[str, Any]) -> LoadedJob:
        return load(job, sets=settings_of(flags) | changes, extra_args=words)

    # Whoever starts the job has its code run anyway.
    return start(loaded, _planned(loaded, flags | {"trace": flags["trace"] or _by_trace_alone(loaded)}), flags, again)


def _by_trace_alone(loaded: LoadedJob) -> bool:
    from dispatcher.app.tracing import wants_trace

    return wants_trace(loaded.config)


@click.command(help=PLAN_HELP)
@JOB
@click.option("--all", "everything", is_flag=True, help="Every machine, and why not the others.")
@click.option("--explain", is_flag=True, help="How each figure comes about.")
@click.option("--device", metavar="NAME", help="Needs and time on one device, offered or not: RTX-3060, A100-80GB:8.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Keep the plan in a file.")
@click.option("--live", is_flag=True, help="Ask the clouds for today's prices first.")
@shared
def plan(job: Path, **flags: Any) -> int:
    """The dry run."""
    with by_flag(flags):
        loaded = _read(job, flags)
    known_gpu(flags, loaded.config.resources.gpu)
    return _show(_planned(loaded, flags), flags)


def _read(job: Path, flags: dict[str, Any]) -> LoadedJob:
    from dispatcher.jobfile.load import load

    if job.suffix in (".py", ".ipynb"):
        from dispatcher.jobfile.script import load_script

        return load_script(job, sets=settings_of(flags))
    return load(job, sets=settings_of(flags))


def _planned(loaded: LoadedJob, flags: dict[str, Any]) -> Plan:
    from dispatcher.app.plans import plan_loaded, same_plan
    from dispatcher.app.tracing import nobody

    made = plan_loaded(
        loaded,
        device=flags.get("device"),
        machine=flags.get("machine"),
        live=bool(flags.get("live")),
        everything=bool(flags.get("everything")) or bool(flags.get("as_json")),
        explained=bool(flags.get("explain")),
        trace=bool(flags.get("trace")),
        probing=bool(flags.get("probe")),
        tell=_aside if not flags.get("quiet") else nobody,
        renting=bool(flags.get("machine")) and flags.get("dry_run") is False,
    )
    if flags.get("plan_file"):
        return same_plan(made, flags["plan_file"], flags.get("pick"))
    return _picked(made, flags.get("pick"))


def _aside(words: str) -> None:
    """A word on stderr while something takes its time."""
    say(dim(f"· {words}"))


def _picked(made: Plan, pick: int | None) -> Plan:
    if pick is None:
        return made
    if pick > len(made.candidates):
        raise UsageError(f"--pick {pick}: the plan has {len(made.candidates)} options.", fix="Look again: mlrun plan JOB")
    return replace(made, choice=pick - 1, by_hand=True)


def _show(made: Plan, flags: dict[str, Any]) -> int:
    from dispatcher.cli.render.plan import plan_lines

    if flags.get("output"):
        _keep(made, flags["output"])
        if made.choice is None and made.candidates:
            say(dim(f"· {flags['output']} leaves the choice open: mlrun {made.job.file or 'JOB'} --plan … --pick N"))
    if flags["as_json"]:
        document(made.as_dict())
    else:
        wide = width()
        lines = plan_lines(made, width=wide, everything=bool(flags.get("everything")), explain=bool(flags.get("explain")))
        say("\n".join(lines), to_stdout=True)
    asked = flags.get("device") or flags.get("machine")
    return 0 if asked or any(one.surely for one in made.candidates) else NothingFits.exit_code


def _keep(made: Plan, file: Path) -> None:
    try:
        file.write_text(json.dumps(made.as_dict(), indent=2, default=str) + "\n", encoding="utf-8")
    except OSError as why:
        raise UsageError(f"The plan could not be kept in {file}: {why.strerror}.") from None


def interactive() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()
