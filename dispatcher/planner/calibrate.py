"""Corrections learned from runs: small, bounded, explained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import mul

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.observation import GPU_MEMORY, RAM, SECONDS, Key, Observation
from dispatcher.domain.plan import Amount, Range
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.workload import infer_family

BOUNDS = {SECONDS: (0.5, 2.0), RAM: (0.7, 1.5), GPU_MEMORY: (0.7, 1.5)}
"""No figure is ever corrected further than this."""
NEWEST = 16
"""So many runs are looked at, the newest."""
LEAST_RUNS = 2
"""One run alone changes nothing: it may have been the odd one."""
PRIOR_RUNS = 1.0
"""The formula counts as so many runs that met it."""
PRIOR_BAND_RUNS = 4.0
"""The formula's own range counts as so many runs."""
HALF_LIFE_RUNS = 8.0
"""A run counts half once so many newer ones are there."""
HALF_SIZE_FACTOR = 3.0
"""A run counts half where its prediction was so many times larger or smaller."""
OTHER_MODEL = 0.5
"""What a run of another model of the same family counts."""
USUAL_SCATTER = 0.15
"""Logarithm by which runs of one kind differ from each other, where they do not show it themselves."""
LEAST_GAIN = 0.04
"""Logarithm by which a correction must have brought its own runs nearer, on the mean: less is noise."""
LEAST_CLIP = 0.15
"""A run is never held for an outlier within this logarithm of the middle."""
NINETY = 1.645
"""Standard deviations from the middle within which nine of ten normal values lie."""
NARROWEST, WIDEST = 0.4, 2.0
"""Bounds of a corrected range's width over the formula's, in logarithms."""
WORDS = {SECONDS: "time", RAM: "RAM", GPU_MEMORY: "GPU memory"}


@dataclass(frozen=True, slots=True)
class Correction:
    """What a formula's likely value is multiplied by: `factor`, and `low` to `high` nine times in ten."""

    factor: float
    low: float
    high: float
    count: int
    why: str

    @property
    def applied(self) -> bool:
        """Whether it changes anything."""
        return self.count > 0

    def on(self, predicted: Range) -> Range:
        """The formula's range, corrected."""
        likely = predicted.likely
        return Range(likely * self.low, likely * self.factor, likely * self.high) if self.applied else predicted


@dataclass(frozen=True, slots=True)
class Learned:
    """Everything that was learned here, by what it is about."""

    runs: dict[tuple[Key, str], tuple[Observation, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, observations: Iterable[Observation]) -> Learned:
        """Sorted by key and quantity."""
        found: dict[tuple[Key, str], list[Observation]] = {}
        for one in observations:
            found.setdefault((one.key, one.quantity), []).append(one)
        return cls({about: _newest(runs) for about, runs in found.items()})

    def correction(self, key: Key, quantity: str, predicted: Range, model: str = "") -> Correction:
        """The correction of one figure of a job."""
        return correction(self.runs.get((key, quantity), ()), quantity, predicted, model)


NOTHING = Learned()


def key_of(job: JobConfig, device: Device) -> Key | None:
    """What a job on a device learns from, and tells to; None without a model, as nothing is predicted then."""
    model = job.model
    if model is None:
        return None
    family = infer_family(job)
    on_cpu = device.accelerator is None or (family == "tabular" and model.library != "cuml" and not job.resources.gpu)
    place = f"{device.cpu.name} × {device.usable_cores:g}" if on_cpu else f"{device.name} × {device.count}"
    if family == "tabular":
        return Key(f"{model.library or 'sklearn'} {model.algorithm or ''}".strip(), "search" if model.search else "fit", place)
    return Key(family, "inference" if job.task == "inference" else job.training.method, place)


def correction(runs: Sequence[Observation], quantity: str, predicted: Range, model: str = "") -> Correction:
    """What the runs of one key say about a figure that the formula puts at `predicted`.

    The weighted mean of log(measured / predicted), outliers clipped, drawn towards the formula and bounded. It is applied
    only where, learned from all runs but one, it would have brought that one nearer: else the formula stands.
    """
    newest = _newest(runs)
    if len(newest) < LEAST_RUNS or predicted.likely <= 0:
        return _unchanged(predicted, f"{len(newest)} runs here: too few to learn from" if newest else "no runs here")
    logs = [math.log(one.measured / one.predicted) for one in newest]
    weights = [_weight(one, age, predicted.likely, model) for age, one in enumerate(newest)]
    middle = _middle(logs, weights, quantity)
    if not middle:
        return _unchanged(predicted, f"{len(newest)} runs here meet the formula or do not agree: it stands")
    low, high = _band(logs, weights, middle, quantity, predicted)
    factor = math.exp(middle)
    return Correction(factor, math.exp(low), math.exp(high), len(newest), _why(quantity, factor, len(newest)))


def corrected(need: Assessment, job: JobConfig, learned: Learned) -> Assessment:
    """The assessment with what was learned here; unchanged where nothing was, or where it rests on no formula."""
    if not learned.runs or need.basis != "formula":
        return need
    key = key_of(job, need.device)
    model = model_of(job)
    if key is None:
        return need
    found = {
        quantity: learned.correction(key, quantity, predicted, model)
        for quantity, predicted in _figures(need).items()
        if (key, quantity) in learned.runs
    }
    return _apply(need, {quantity: one for quantity, one in found.items() if one.applied})


def model_of(job: JobConfig) -> str:
    """The model's name, as observations keep it."""
    return (job.model.name or job.model.algorithm or "") if job.model else ""


def _apply(need: Assessment, found: dict[str, Correction]) -> Assessment:
    if not found:
        return need
    time = found.get(SECONDS)
    return replace(
        need,
        gpu=_amount(need.gpu, found.get(GPU_MEMORY)) if need.gpu else None,
        ram=_amount(need.ram, found.get(RAM)),
        run=time.on(need.run) if time and need.run else need.run,
        step=need.step.scaled(time.factor) if time and need.step else need.step,
        rate=need.rate.scaled(1 / time.factor) if time and need.rate else need.rate,
        basis=basis(time.count) if time else need.basis,
        learned={quantity: one.factor for quantity, one in found.items()},
        explain=(*need.explain, *(one.why for one in found.values())) if need.explain else (),
    )


def basis(count: int) -> str:
    """How a corrected figure is known."""
    return f"formula, corrected by {count} runs here"


def _amount(amount: Amount, found: Correction | None) -> Amount:
    """Every term alike, so that they still sum up to what is likely."""
    if found is None:
        return amount
    terms = {name: value * found.factor for name, value in amount.terms.items()}
    return Amount(found.on(amount.range), terms, basis(found.count))


def _figures(need: Assessment) -> dict[str, Range]:
    known = {SECONDS: need.run, RAM: need.ram.range, GPU_MEMORY: need.gpu.range if need.gpu else None}
    return {quantity: one for quantity, one in known.items() if one is not None}


def _newest(runs: Iterable[Observation]) -> tuple[Observation, ...]:
    return tuple(sorted(filter(_usable, runs), key=lambda one: one.time, reverse=True)[:NEWEST])


def _usable(one: Observation) -> bool:
    return all(math.isfinite(value) and value > 0 for value in (one.predicted, one.measured))


def _weight(one: Observation, age: int, likely: float, model: str) -> float:
    """New runs count more, and those of this size and this model."""
    apart = abs(math.log(one.predicted / likely)) / math.log(HALF_SIZE_FACTOR)
    return math.pow(0.5, age / HALF_LIFE_RUNS + apart) * (1.0 if one.model == model else OTHER_MODEL)


def _middle(logs: Sequence[float], weights: Sequence[float], quantity: str) -> float:
    """The logarithm to correct by; 0 unless, of all runs but one, it would on the whole have met that one better."""
    gain = 0.0
    for i, value in enumerate(logs):
        others = _certain([*logs[:i], *logs[i + 1 :]], [*weights[:i], *weights[i + 1 :]], quantity)
        gain += weights[i] * (abs(value) - abs(value - others))
    return _certain(logs, weights, quantity) if gain > LEAST_GAIN * sum(weights) else 0.0


def _certain(logs: Sequence[float], weights: Sequence[float], quantity: str) -> float:
    """The mean logarithm, outliers clipped, drawn towards 0, less what it is unsure by, and bounded."""
    centre = _median(logs)
    clip = max(LEAST_CLIP, 2 * _median([abs(value - centre) for value in logs]))
    kept = [min(max(value, centre - clip), centre + clip) for value in logs]
    count = sum(weights)
    mean = sum(map(mul, weights, kept)) / (PRIOR_RUNS + count)
    squares = sum(map(mul, weights, [(value - centre) ** 2 for value in kept]))
    variance = (PRIOR_BAND_RUNS * USUAL_SCATTER**2 + squares) / (PRIOR_BAND_RUNS + count)
    sure = math.copysign(max(0.0, abs(mean) - math.sqrt(variance / (PRIOR_RUNS + count))), mean)
    low, high = BOUNDS[quantity]
    return min(max(sure, math.log(low)), math.log(high))


def _median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _band(
    logs: Sequence[float], weights: Sequence[float], middle: float, quantity: str, predicted: Range
) -> tuple[float, float]:
    """Logarithms of the corrected range's ends: the formula's own width, narrowed by runs that agree, widened by others."""
    scatter = sum(w * (NINETY * (value - middle)) ** 2 for w, value in zip(weights, logs, strict=True))

    def reach(own: float) -> float:
        reached = math.sqrt((PRIOR_BAND_RUNS * own**2 + scatter) / (PRIOR_BAND_RUNS + sum(weights)))
        return min(max(reached, NARROWEST * own), WIDEST * own)

    down = math.log(predicted.likely / predicted.low) if predicted.low > 0 else math.log(10)
    low, high = middle - reach(down), middle + reach(math.log(predicted.high / predicted.likely))
    # What a run was seen to need is never promised away.
    return (low, high) if quantity == SECONDS else (low, max(high, min(max(logs), math.log(BOUNDS[quantity][1]))))


def _unchanged(predicted: Range, why: str) -> Correction:
    likely = predicted.likely or 1.0
    return Correction(1.0, predicted.low / likely, predicted.high / likely, 0, why)


def _why(quantity: str, factor: float, count: int) -> str:
    return f"learned: {WORDS[quantity]} × {factor:.2f} from {count} runs on this machine; mlrun purge --learned forgets them"
