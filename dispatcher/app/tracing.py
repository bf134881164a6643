"""When a plan is traced, and what is said of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dispatcher.domain.job import JobConfig
from dispatcher.errors import UnknownError
from dispatcher.jobfile.load import LoadedJob

if TYPE_CHECKING:
    from dispatcher.domain.traced import Traced, Untraceable

Tell = Callable[[str], None]
PATIENCE = 1.0
"""Seconds before a word says what takes so long."""


def nobody(_words: str) -> None:
    """Says nothing."""


def wants_trace(config: JobConfig) -> bool:
    """Whether the job can only be planned by its trace."""
    return config.model is not None and config.model.family == "torch"


def traced(loaded: LoadedJob, tell: Tell = nobody, *, consent: bool = True) -> tuple[Traced | None, tuple[str, ...]]:
    """The job's trace, and what the plan must say about it. Without `consent` no code is loaded: a kept trace must do.

    Raises UnknownError where nothing else can tell.
    """
    from dispatcher.domain.traced import Traced
    from dispatcher.planner.workload import infer_family
    from dispatcher.tracing import trace

    config = loaded.config
    if not consent:
        kept = trace(config, loaded.workdir, os.environ, only_kept=True)
        if isinstance(kept, Traced):
            return kept, ()
        factory = config.model.factory if config.model else None
        raise UnknownError(f"family: torch is planned by a trace, which loads {factory or 'your code'}: say so.", fix=CONSENT)
    with _announced(config, tell):
        found = trace(config, loaded.workdir, os.environ)
    if isinstance(found, Traced):
        return found, ()
    if config.model is not None and infer_family(config) == "torch":
        raise UnknownError(f"The model could not be traced: {_ended(found)}", fix=FIX)
    return None, (f"Not traced: {_ended(found)} The figures are the formula's.",)


CONSENT = "mlrun plan JOB --trace; nothing of it is computed, and the trace is kept."
FIX = "Mend that, or give model.family: custom with parameters, flops_per_sample and activation_bytes_per_sample."


@contextmanager
def _announced(config: JobConfig, tell: Tell) -> Iterator[None]:
    """Loading the user's code is said before it happens, all else when it takes a while."""
    factory = config.model.factory if config.model else None
    if factory:
        tell(f"tracing {factory}: its code is loaded, nothing is computed")
        yield
        return
    late = threading.Timer(PATIENCE, tell, ("tracing the model on fake tensors",))
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()


def _ended(found: Untraceable) -> str:
    return found.reason if found.reason.endswith((".", "!", "?")) else f"{found.reason}."
