"""What the shell offers at the Tab key."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

JOBS = (".yaml", ".yml", ".py")
OFFERED_RUNS = 50
PLACES = ("auto", "local", "cloud", "aws", "gcp")


def job_files(incomplete: str) -> list[CompletionItem[str]]:
    """Job files and scripts that begin so, and folders that may hold some."""
    begun = Path(incomplete)
    folder = begun if incomplete.endswith("/") else begun.parent
    offered = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            name = str(path) + ("/" if path.is_dir() else "")
            if name.startswith(incomplete.removeprefix("./")) and not path.name.startswith("."):
                offered += [name] if path.is_dir() or path.suffix in JOBS else []
    return [CompletionItem(name if not incomplete.startswith("./") else f"./{name}") for name in offered]


def run_names(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Names and ids of the newest runs, and `last`."""
    from dispatcher import paths
    from dispatcher.retries import SystemClock
    from dispatcher.store.store import Store

    offered = {"last": "the newest run"}
    with suppress(Exception):  # what is offered at the Tab key is a help: trouble is told by the verb itself
        if paths.database().is_file():
            with Store.open(paths.database(), SystemClock()) as store:
                for run in store.recent(OFFERED_RUNS):
                    words = str(run.outcome or run.state)
                    offered.setdefault(run.name, words)
                    offered[run.id] = f"{run.name}, {words}"
    return _beginning(offered.items(), incomplete)


def places(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """What --where may be, with the user's own computers."""
    from dispatcher.jobfile.settings import sound_settings

    hosts = (f"ssh:{name}" for name in sound_settings()[0].hosts)
    return _beginning(((place, "") for place in (*PLACES, *hosts)), incomplete)


def _beginning(offered: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem[str]]:
    return [CompletionItem(value, help=words or None) for value, words in offered if value.startswith(incomplete)]
