"""The page of a run, from headline to origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dispatcher import paths
from dispatcher.cli.render.page.charts import Chart, curve, strip
from dispatcher.cli.render.queue import cells, in_words
from dispatcher.cli.render.receipt import FIGURES
from dispatcher.cli.render.records import moment
from dispatcher.domain.run import Outcome, Run
from dispatcher.engine.outcome import explain
from dispatcher.engine.receipt import figures_of
from dispatcher.metrics.series import Series
from dispatcher.units import show_bytes, show_seconds, show_usd

LOG_LINES = 40
HIDDEN_SECONDS = 0.05
IDLE_GPU = 0.5
"""A GPU busy for less than half of the time waits for something: data, the CPU, the disk."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a page is made of, beside the run: read from its folder and its outputs."""

    job: str = ""
    tail: tuple[str, ...] = ()
    samples: tuple[dict[str, Any], ...] = ()
    notices: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()
    origin: dict[str, Any] = field(default_factory=dict)
    queue: dict[str, Any] = field(default_factory=dict)


def page(run: Run, material: Material) -> str:
    """The whole file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(paths.templates_dir() / "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("run.html").render(**_content(run, material))


def warnings(run: Run, samples: tuple[dict[str, Any], ...], notices: tuple[str, ...]) -> list[str]:
    """What a reader should not miss."""
    found = list(notices)
    busy = [float(one["gpu_utilisation"]) for one in samples if one.get("gpu_utilisation") is not None]
    if len(busy) > 5 and (mean := sum(busy) / len(busy)) < IDLE_GPU:
        found.append(
            f"The GPU was busy {mean:.0%} of the time: loading data or the CPU held it back. More loader workers may help."
        )
    if len(run.attempts) > 1:
        found.append(f"It took {len(run.attempts)} attempts: " + "; ".join(a.reason for a in run.attempts if a.reason))
    if run.doubt:
        found.append(f"Its {run.doubt} is not confirmed: something may still cost money. mlrun sweep")
    return found


def _content(run: Run, material: Material) -> dict[str, Any]:
    attempt = run.attempt
    return {
        "run": run,
        "succeeded": run.outcome is Outcome.SUCCEEDED,
        "headline": _headline(run),
        "place": "this machine" if attempt is None or attempt.where == "local" else f"{attempt.where} {attempt.machine}",
        "times": [(name, moment(value)) for name, value in _times(run) if value],
        "figures": list(_figures(run)),
        "queue": {"whole": in_words(material.queue), "rows": cells(material.queue)} if material.queue else None,
        "warnings": warnings(run, material.samples, material.notices),
        "curves": [curve(one) for one in material.series],
        "strips": _strips(material.samples),
        "phases": _phases(run),
        "longest": max([*run.phases_seconds.values(), HIDDEN_SECONDS]),
        "outputs": [(one.path, show_bytes(one.size), one.sha256) for one in run.outputs],
        "attempts": [_attempt(one) for one in run.attempts],
        "material": material,
    }


def _phases(run: Run) -> list[tuple[str, str, float]]:
    return [(name, show_seconds(seconds), seconds) for name, seconds in run.phases_seconds.items() if seconds >= HIDDEN_SECONDS]


def _headline(run: Run) -> str:
    seconds = run.phases_seconds.get("run")
    took = f" in {show_seconds(seconds)}" if seconds is not None else ""
    cost = show_usd(run.cost_so_far) if run.cost_so_far else "free"
    if run.outcome is Outcome.SUCCEEDED:
        return f"Succeeded{took}, {cost}"
    if run.outcome is None:
        return f"{str(run.state).capitalize()}, {cost} so far"
    code = f" (exit code {run.exit_code})" if run.exit_code is not None else ""
    return f"{str(run.outcome).capitalize()}{took}: {explain(run)}{code}, {cost}"


def _times(run: Run) -> list[tuple[str, float | None]]:
    return [("submitted", run.submitted), ("started", run.started), ("ended", run.ended)]


def _figures(run: Run) -> Any:
    for figure in figures_of(run, run.plan):
        name, show = FIGURES[figure["name"]]
        planned, actual = figure["estimated"], figure["actual"]
        planned = planned if planned and planned.get("likely") else None  # 0 where nobody knew
        if planned is None and actual is None:
            continue
        spread = planned and "low" in planned and planned["low"] != planned["high"]
        yield {
            "name": name,
            "planned": show(planned["likely"]) if planned and "likely" in planned else "not planned",
            "range": f"{show(planned['low'])} – {show(planned['high'])}" if planned and spread else "",
            "actual": show(actual) if actual is not None else "not measured",
        }


def _strips(samples: tuple[dict[str, Any], ...]) -> list[Chart]:
    begun = float(samples[0].get("t", 0.0)) if samples else 0.0

    def over(name: str, factor: float = 1.0) -> list[tuple[float, float]]:
        return [
            (float(one["t"]) - begun, float(one[name]) * factor) for one in samples if one.get(name) is not None and "t" in one
        ]

    made = [
        strip("GPU in use", "%", over("gpu_utilisation", 100.0), most=100.0),
        strip("GPU memory", "GiB", over("gpu_memory_gib")),
        strip("CPU cores in use", "cores", over("cpus")),
        strip("RAM", "GiB", over("ram_gib")),
    ]
    return [one for one in made if one]


def _attempt(one: Any) -> dict[str, str]:
    place = "this machine" if one.where == "local" else " ".join(filter(None, (one.where, one.machine, one.region, one.market)))
    return {
        "place": place,
        "began": moment(one.launched) or "–",
        "ended": moment(one.ended) or "–",
        "reason": one.reason or "",
    }
