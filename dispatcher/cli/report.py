"""`mlrun report`: a run's receipt, in the terminal and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dispatcher.cli.completing import run_names
from dispatcher.cli.render.console import dim, document, say, width
from dispatcher.cli.render.records import run_record
from dispatcher.cli.runs import AS_JSON, tell_warnings
from dispatcher.domain.run import Run
from dispatcher.errors import HostError


@click.command()
@click.argument("run", metavar="RUN", default="last", shell_complete=run_names)
@click.option("--html", "html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the page there.")
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@AS_JSON
def report(run: str, *, html: Path | None, show: bool, as_json: bool) -> int:
    """A run's receipt: planned against actual, phases, outputs with their hashes, what it would have cost elsewhere.

    \b
      mlrun report last                    in the terminal; the page is written beside the run's log
      mlrun report last --open             the page, with the job's curves, in the browser
      mlrun report last --html run.html    one file to send: it asks nobody for anything
    """
    from dispatcher.app import runs
    from dispatcher.cli.render.queue import queue_lines, queue_of
    from dispatcher.engine.receipt import receipt

    with runs.opened(tell_warnings, without_record=True) as ctx:
        found = ctx.store.find(run)
        queue = queue_of(found, ctx.store)
    file = _written(found, html, queue)
    log = runs.log_path(found)
    if as_json:
        said = run_record(found, str(log) if log else None)
        more = {"queue": queue} if queue else {}
        document({"schema": "1.0", **said, "receipt": receipt(found, found.plan), "page": str(file) if file else None} | more)
    else:
        from dispatcher.cli.render.receipt import report_lines

        lines = report_lines(found, log, width(), setup_log=runs.log_path(found, "setup.log"))
        say("\n".join([*lines, *queue_lines(queue, width())]), to_stdout=True)
        if file:
            say(dim(f"page: {file}"))
    if show and file:
        click.launch(str(file))
    return 0


def _written(run: Run, wished: Path | None, queue: dict[str, Any]) -> Path | None:
    """The page's file; None where it cannot be written and nobody asked for it."""
    from dispatcher import paths
    from dispatcher.app import reports
    from dispatcher.app.hidden import values_of
    from dispatcher.app.redact import Redactor
    from dispatcher.cli.render.page.page import LOG_LINES, Material, page
    from dispatcher.cli.render.sanitise import plain

    hidden = Redactor(values_of(run))
    material = Material(
        job=reports.job_of(run),
        tail=tuple(plain(hidden.line(line)) for line in reports.tail_of(run, LOG_LINES)),
        samples=tuple(reports.samples_of(run)),
        notices=tuple(reports.notices_of(run)),
        series=tuple(reports.curves_of(run)),
        origin=reports.origin_of(run),
        queue=queue,
    )
    file = wished or reports.page_file(run)
    try:
        paths.write_private(file, page(run, material))
    except OSError as why:
        if wished:
            raise HostError(f"The page cannot be written to {file}: {why.strerror}", fix="--html FILE") from why
        return None
    return file.resolve()
