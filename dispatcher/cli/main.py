"""The `mlrun` command: verbs, `mlrun FILE`, errors and exit codes."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import sys
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dispatcher import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VERBS: dict[str, tuple[str, str]] = {
    "plan": ("run:plan", "What a job needs, where it could run, and what that costs; starts nothing."),
    "init": ("setup:init", "Write a job file for what stands in this folder."),
    "ps": ("runs:ps", "Runs, here and elsewhere."),
    "logs": ("runs:logs", "A run's output."),
    "attach": ("runs:attach", "Follow a run that is going on, from its first byte or from where you were."),
    "stop": ("runs:stop", "End a run: its outputs are kept, its machine is given back."),
    "fetch": ("machines:fetch", "Bring a run's outputs home."),
    "hold": ("machines:hold", "Keep a run's machine after its job, for a while."),
    "ssh": ("machines:ssh", "A shell on a run's machine."),
    "report": ("report:report", "A run's receipt: planned against actual; a page with its curves."),
    "costs": ("runs:costs", "What runs have cost."),
    "sweep": ("sweeping:sweep", "What exists in the clouds and should not, and removing it."),
    "schedule": ("schedule:schedule", "Runs that begin later, on this computer."),
    "doctor": ("setup:doctor", "Check this machine, with a fix beside every finding."),
    "catalog": ("setup:catalog", "Accelerators, machines, models and prices, with their age and source."),
    "setup": ("accounts:setup", "What a cloud account needs once, and taking it back."),
    "schema": ("setup:schema", "The job file's JSON Schema, for editors."),
    "config": ("setup:config", "The settings, each with where it comes from."),
    "purge": ("setup:purge", "What mlrun keeps on disk, and removing it."),
    "completion": ("setup:completion", "Shell completion for bash, zsh or fish."),
}
HIDDEN = {"run": ("run:run", "Run a job file.")}

REPEATABLE = ("ps", "logs", "attach", "stop", "report", "costs")
"""Verbs that begin nothing: one that met a damaged record is simply done again."""
EVENTFUL = ("run", "logs", "attach", "stop", "fetch")
"""Verbs whose --json is one event a line."""
WITHOUT_RECORD = ("plan", "init", "schedule", "doctor", "catalog", "setup", "schema", "config", "purge")
"""Verbs that do not open the record of runs: what machines cost meanwhile is told after them."""
NOT_YET = ("sweep", "fetch", "hold", "ssh", "schedule", "setup")
"""Verbs of the interface: refused in one sentence as long as they are not among VERBS."""
COMPLETE_VAR = "_DISPATCHER_COMPLETE"
CANCELLED = 130
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What writing to a full disk says."""
GARBAGE_AFTER = 50_000
"""Objects made before garbage is looked for: tables and modules stay in use, and a tenth of a plan's time went on looking."""
_OWN_OPTIONS = ("-h", "--help", "--version")

HELP = """Plans a training job's memory, time and money, and runs it here, or on a rented machine.

\b
  mlrun train.yaml              plan, then run
  mlrun train.yaml --dry-run    plan only; nothing is started
  mlrun init                    write a job file for this folder
  mlrun train.yaml --help       everything about running
"""


class Verbs(click.Group):
    """Commands whose code is imported when they are used: `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        found = VERBS.get(cmd_name) or HIDDEN.get(cmd_name)
        if found is None:
            return None
        module, _, name = found[0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"dispatcher.cli.{module}"), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Verbs and job files, without importing a verb."""
        from click.shell_completion import CompletionItem

        from dispatcher.cli.completing import job_files

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        verbs = [CompletionItem(name, help=text) for name, (_, text) in VERBS.items() if name.startswith(incomplete)]
        return verbs + job_files(incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of verbs, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`mlrun --dry-run FILE` is `mlrun run --dry-run FILE`."""
        if args and args[0].startswith("-") and args[0] not in _OWN_OPTIONS and any(map(_is_job, args)):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """`mlrun FILE …` is `mlrun run FILE …`."""
        if args and args[0] in NOT_YET and args[0] not in VERBS:
            raise click.UsageError(f"'mlrun {args[0]}' is not part of this version. See 'mlrun --help'.", ctx)
        if args and args[0] not in VERBS and args[0] not in HIDDEN and _is_job(args[0]):
            args = ["run", *args]
        elif args and args[0] not in VERBS and args[0] not in HIDDEN:
            _unknown_verb(args[0], ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlrun", message="%(prog)s %(version)s (mlrun-dispatcher)")
def cli() -> None:
    """The root; its help is HELP."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit as the table of exit codes says."""
    try:
        _open_closed_streams()
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except KeyboardInterrupt:  # between two verbs, or while their errors were told
        code = CANCELLED
    except OSError as why:
        code = _unwritten(why)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Whoever closed stdout or stderr (`>&-`) wants no words: they go nowhere, and the job still runs."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - lives as long as the process


def _run(argv: list[str], *, again: bool = True) -> int:
    from dispatcher.errors import MlrunError, RecordDamaged

    gc.set_threshold(GARBAGE_AFTER)
    _without_plugins()
    try:
        code: Any = cli.main(args=argv, prog_name="mlrun", complete_var=COMPLETE_VAR, standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as wrong:
        with _heard():
            wrong.show()
        return wrong.exit_code
    except (KeyboardInterrupt, click.Abort):
        with _heard():
            click.echo("\nCancelled.", err=True)
        return CANCELLED
    except OSError as why:
        if _gone(why) or why.errno in FULL:
            return _unwritten(why)
        return _bug(why)
    except MlrunError as error:
        from dispatcher.cli.render.errors import show_error

        if again and isinstance(error, RecordDamaged) and argv[:1] and argv[0] in REPEATABLE:
            return _run(argv, again=False)  # the second time, all of the record is looked at, and put right

        ours = argv[: argv.index("--")] if "--" in argv else argv
        return show_error(error, as_json="--json" in ours, as_event=_tells_events(ours))
    except Exception as bug:  # noqa: BLE001 - the one catcher: a user never meets a stack trace
        return _bug(bug)
    if argv[:1] and argv[0] in WITHOUT_RECORD:
        remind()
    return code if isinstance(code, int) else 0


def _tells_events(argv: list[str]) -> bool:
    """Whether this command's JSON is one event a line: then its error is the last of them."""
    known = argv[0] if argv and argv[0] in VERBS else "run"
    return known in EVENTFUL and not {"--dry-run", "--dryrun", "--at"} & {word.partition("=")[0] for word in argv}


def remind() -> None:
    """Machines that cost money while nobody looks are told by every command."""
    from dispatcher import paths

    if not paths.database().is_file():
        return
    from dispatcher.app.reminders import at_a_glance
    from dispatcher.cli.render.errors import warn

    for one in at_a_glance():
        warn(one.message, one.fix)


def _unwritten(why: OSError) -> int:
    """Nobody reads our output any more, which is no error; or it can be written nowhere, which is."""
    from dispatcher.cli.render.console import say, silence

    silence(sys.stdout)
    if _gone(why):
        return 0
    say(f"error: The output could not be written: {why.strerror}.")
    return 1


def _gone(why: OSError) -> bool:
    """Whether a reader, or a terminal (EIO, of no file), is no more."""
    return isinstance(why, BrokenPipeError) or (why.errno == errno.EIO and why.filename is None)


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Words to stderr, which may take none."""
    from dispatcher.cli.render.console import silence

    try:
        yield
    except OSError:
        silence(sys.stderr)


def _bug(bug: Exception) -> int:
    from dispatcher.cli.render.errors import show_bug

    return show_bug(bug)


def _without_plugins() -> None:
    """pydantic looks for plugins among everything that is installed, a tenth of a plan's time; none are wanted here."""
    loader = types.ModuleType("pydantic.plugin._loader")
    loader.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules.setdefault(loader.__name__, loader)


def _is_job(word: str) -> bool:
    return not word.startswith("-") and (word.endswith((".yaml", ".yml", ".py")) or os.sep in word or os.path.exists(word))  # noqa: PTH110 - pathlib costs --help its speed


def _unknown_verb(word: str, ctx: click.Context) -> None:
    import difflib

    near = difflib.get_close_matches(word, VERBS, n=1)
    hint = f"Did you mean 'mlrun {near[0]}'?" if near else "A job is a file: mlrun train.yaml. See 'mlrun --help'."
    if word.startswith("-"):
        return
    raise click.UsageError(f"'{word}' is neither a command nor a job file. {hint}", ctx)
