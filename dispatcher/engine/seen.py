"""Runs of the user's other computers: what their machines tell of them."""

from __future__ import annotations

import json
from dataclasses import replace

from dispatcher.engine.context import JobInstructions, Work
from dispatcher.errors import SyncFailed

MAKE = ["sh", "-c", 'mkdir -p "$1" && cat > "$1.json"', "sh"]
"""Makes the job's folder, and beside it the word for other computers, in one journey."""
MOST_OUTPUTS = 1000


def make_folder(work: Work) -> None:
    """Have the job's folder there, also where no file would make it come to be; rented machines know their outputs' names."""
    word = json.dumps({"outputs": work.job.outputs}).encode() if work.attempt.rented else b""
    argv = [*MAKE, work.cwd] if word else ["mkdir", "-p", work.cwd]
    made = work.reached().run(argv, stdin=word)
    if made.code:
        said = made.stderr.decode(errors="replace").strip()
        raise SyncFailed(f"{work.cwd} cannot be made on {work.attempt.where}: {said}")


def told(work: Work) -> JobInstructions:
    """The instructions, with the outputs that the machine names; none where it names none."""
    said = work.reached().run(["cat", f"{work.cwd}.json"])
    try:
        names = json.loads(said.stdout)["outputs"] if said.code == 0 else []
    except (ValueError, TypeError, KeyError, RecursionError):
        names = []
    known = isinstance(names, list) and len(names) <= MOST_OUTPUTS and all(isinstance(one, str) for one in names)
    return replace(work.job, outputs=tuple(names) if known else ())
