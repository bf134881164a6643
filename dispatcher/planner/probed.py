"""What a probe here says of the job there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from dispatcher.domain.hardware import Device
from dispatcher.domain.observation import GPU_MEMORY, RAM, SECONDS
from dispatcher.domain.plan import Amount, Range, figures
from dispatcher.domain.probed import Probed
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.rates import bandwidth, product_flops
from dispatcher.units import show_gib, show_seconds

SAME, ALIKE, OTHER = 1.0, 0.8, 0.5
"""The part of what a probe shows that holds on this very device, on others of its kind, and on those of another kind: the rest
is how far the formula is off on a device, not what it does not know of the job. Stated assumptions, not measured."""
GROWTH = (0.03, 0.12)
"""How much less than seen, and more, a job's memory may come to after the first minutes: a validation, a longer batch."""
GROWTH_UNSEEN = 0.4
"""The same above, where no progress was seen: its training may not have begun."""
BUSY = 0.95
"""A GPU busy for more of its time than this waits for nobody."""
ALL_CORES = 0.7
"""A job that kept this share of the cores busy would use more of them."""
WORDS = "formula, corrected by a probe here"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A probe beside the formula's own figures for the same device; `formula` is None where the job is not described."""

    probed: Probed
    formula: Assessment | None = None

    @property
    def run(self) -> Range | None:
        """Seconds of the whole job here: as its output tells, or its pace times the steps that the job file tells."""
        if self.probed.whole:
            return self.probed.whole
        pace, known = self.probed.pace, self.formula
        if not (pace and known and known.run and known.step) or pace.unit != "step":
            return None
        steps = known.run.likely / known.step.likely
        return Range(*(pace.before + steps * one for one in (pace.seconds.low, pace.seconds.likely, pace.seconds.high)))


def probed(need: Assessment, known: Evidence) -> Assessment:
    """The assessment with what the probe showed, which for this very device is measured."""
    share = _share(need, known)
    need = _memory(need, known, share)
    need = _described(need, known, share) if known.formula and known.formula.run else _alone(need, known, share)
    return replace(need, explain=(*need.explain, *words(known))) if need.explain else need


def document(known: Evidence) -> dict[str, Any]:
    """The probe as the plan's document tells it: `words` are for people, `run_seconds` the whole job on this computer."""
    one, run = known.probed, known.run
    return {
        "seconds": figures(one.seconds),
        "finished": one.finished,
        "ram_gib": one.ram_gib,
        "gpu_memory_gib": one.gpu_memory_gib,
        "gpu_busy": one.gpu_busy,
        "cores_busy": figures(one.cores_busy),
        "pace": one.pace.as_dict() if one.pace else None,
        "run_seconds": run.as_dict() if run else None,
        "words": list(words(known)),
    }


def words(known: Evidence) -> tuple[str, ...]:
    """What was measured, in sentences; the first says of what."""
    one = known.probed
    most = [f"RAM {show_gib(one.ram_gib)}"] if one.ram_gib else []
    most += [f"GPU memory {show_gib(one.gpu_memory_gib)}"] if one.gpu_memory_gib else []
    said = [f"probe: {one.seconds:.0f} s of the job here" + (f", at most {' and '.join(most)}" if most else "")]
    pace, whole = one.pace, known.run
    if pace:
        of = f" of {pace.total:,.0f}" if pace.total and pace.unit != "fraction" else ""
        each = f"{_short(pace.seconds.likely)} per {pace.unit} ({_short(pace.seconds.low)} – {_short(pace.seconds.high)})"
        if pace.unit != "fraction":
            said.append(f"{each}, once warm: {pace.done:,.0f}{of} seen in {pace.source}")
    if whole:
        span = f"{show_seconds(whole.low)} – {show_seconds(whole.high)}"
        what = "it came to its end" if one.whole and one.finished else "the whole job here"
        said.append(f"{what}: {show_seconds(whole.likely)} ({span})")
        return tuple(said)
    said.append(f"time unknown from it: {_why(one)}")
    return tuple(said)


def _why(one: Probed) -> str:
    if one.finished and one.shortened:
        return "the job ended early, as its code asks whether it is only probed, and showed no progress that tells the whole"
    if one.pace:
        return "it gets on, but neither its output nor the job file says how far it has to go; give training.epochs or steps"
    return "no progress was seen; tqdm, Keras, Lightning and Hugging Face show it, or JSON lines in $DISPATCHER_PROGRESS"


def _share(need: Assessment, known: Evidence) -> float:
    one = known.probed
    there, here = need.device, one.device
    same = (there.name, there.count, there.usable_cores, there.cpu.name) == (
        here.name, here.count, here.usable_cores, here.cpu.name
    )  # fmt: skip
    if same:
        return SAME
    on_gpu = bool(one.gpu_memory_gib)
    wants_gpu = need.gpu is not None or (known.formula is None and on_gpu)  # a job that nobody described is what was seen
    return ALIKE if _kind(there, on_gpu=wants_gpu) == _kind(here, on_gpu=on_gpu) else OTHER


def _kind(device: Device, *, on_gpu: bool) -> str:
    return device.kind if on_gpu else "cpu"


def _described(need: Assessment, known: Evidence, share: float) -> Assessment:
    """The formula there, times what the probe found here over the formula here."""
    here, measured = known.formula, known.run
    assert here is not None
    assert here.run is not None
    if measured is None or need.run is None:
        return _stepped(need, known, share)
    ratio = measured.likely / here.run.likely
    factor = ratio**share
    likely = _waiting(need, known, need.run.likely * factor, measured.likely)
    factor = likely / need.run.likely
    return replace(
        need,
        run=_spread(likely, measured, need.run, share, ratio),
        step=need.step.scaled(factor) if need.step else None,
        rate=need.rate.scaled(1 / factor) if need.rate else None,
        basis="measured" if share == SAME else WORDS,
        learned={**need.learned, SECONDS: factor},
    )


def _stepped(need: Assessment, known: Evidence, share: float) -> Assessment:
    """Where nobody says how long the job goes on, at least its steps are known."""
    pace, here = known.probed.pace, known.formula
    if not (pace and here and here.step and need.step and pace.unit == "step"):
        return need
    factor = (pace.seconds.likely / here.step.likely) ** share
    return replace(need, step=need.step.scaled(factor), rate=need.rate.scaled(1 / factor) if need.rate else None)


def _waiting(need: Assessment, known: Evidence, likely: float, here: float) -> float:
    """The share of its time in which a GPU waited for the host is as long beside any other GPU."""
    busy = known.probed.gpu_busy
    if busy is None or busy >= BUSY or need.device.kind != known.probed.device.kind:
        return likely
    return busy * likely + (1 - busy) * here


def _spread(likely: float, measured: Range, formula: Range, share: float, ratio: float) -> Range:
    """The probe's own width here; elsewhere also that part of the formula's which the probe leaves open.

    What a probe found beyond the formula may be the job's or this device's: the range there reaches from one to the other.
    """
    rest, open_ = math.sqrt(max(0.0, 1 - share**2)), (1 - share) * abs(math.log(ratio))

    def reach(own: float, of_formula: float) -> float:
        return math.hypot(math.log(own), rest * math.log(of_formula), open_)

    low = reach(measured.likely / measured.low, formula.likely / formula.low)
    high = reach(measured.high / measured.likely, formula.high / formula.likely)
    return Range(likely * math.exp(-low), likely, likely * math.exp(high))


def _alone(need: Assessment, known: Evidence, share: float) -> Assessment:
    """Without a description: the time here, scaled by what the devices can do."""
    measured, here = known.run, known.probed.device
    if measured is None or share == OTHER:
        return replace(need, warnings=(*need.warnings, _elsewhere(need, known))) if measured else need
    if share == SAME:
        return replace(need, run=measured, basis="measured")
    scale = _gpu_scale(need.device, here) if known.probed.gpu_memory_gib else _cpu_scale(known, need.device)
    scale = Range(*(_waiting(need, known, one * measured.likely, measured.likely) / measured.likely for one in _ends(scale)))
    run = Range(measured.low * scale.low, measured.likely * scale.likely, measured.high * scale.high)
    return replace(need, run=run, basis="measured here, scaled by the devices' speed")


def _elsewhere(need: Assessment, known: Evidence) -> str:
    if not known.probed.gpu_memory_gib:
        return "It was probed without a GPU: its time on one is unknown."
    there = "without one" if need.device.kind == "cpu" else "on one of another kind"
    return f"It was probed on a GPU: its time {there} is unknown."


def _gpu_scale(there: Device, here: Device) -> Range:
    """Seconds there over seconds here: as bandwidth and arithmetic have it, whichever bounds."""
    arithmetic = product_flops(here, "fp16_tflops") / product_flops(there, "fp16_tflops")
    moving = bandwidth(here) / bandwidth(there)
    return _between(arithmetic * here.count / there.count, moving * here.count / there.count)


def _cpu_scale(known: Evidence, there: Device) -> Range:
    """Seconds there over seconds here: each core's speed, and more cores where all were busy."""
    here, busy = known.probed.device, max(1.0, known.probed.cores_busy)
    each = (here.cpu.gflops / here.cpu.cores) / (there.cpu.gflops / there.cpu.cores)
    alone = each * max(1.0, busy / there.usable_cores)
    if busy < ALL_CORES * here.usable_cores:
        return _between(0.8 * alone, 1.25 * alone)
    return _between(alone, each * here.usable_cores / there.usable_cores)


def _between(one: float, other: float) -> Range:
    return Range(min(one, other), math.sqrt(one * other), max(one, other))


def _ends(span: Range) -> tuple[float, float, float]:
    return span.low, span.likely, span.high


def _memory(need: Assessment, known: Evidence, share: float) -> Assessment:
    """Memory as seen; on other kinds of devices it is another."""
    if share == OTHER:
        return need
    one, formula = known.probed, known.formula
    learned = dict(need.learned)
    gpu, ram = need.gpu, need.ram
    begun = one.pace is not None or one.finished
    if one.ram_gib:
        ram = _amount(ram, one.ram_gib, formula.ram if formula else None, share, begun=begun)
        learned |= _factor(RAM, need.ram, ram) if formula else {}
    if one.gpu_memory_gib and gpu:
        gpu = _amount(gpu, one.gpu_memory_gib, formula.gpu if formula else None, share, begun=begun)
        learned |= _factor(GPU_MEMORY, need.gpu, gpu) if formula else {}
    return replace(need, gpu=gpu, ram=ram, learned=learned)


def _factor(quantity: str, before: Amount | None, after: Amount) -> dict[str, float]:
    return {quantity: after.range.likely / before.range.likely} if before and before.range.likely else {}


def _amount(amount: Amount, seen: float, formula: Amount | None, share: float, *, begun: bool) -> Amount:
    """The figure, every term alike, so that they still sum up. Before training began, less than the formula proves nothing."""
    basis = "measured" if share == SAME else WORDS
    up = GROWTH[1] if begun else GROWTH_UNSEEN
    if formula is None or not formula.range.likely or not amount.range.likely:
        if amount.range.likely > seen and not begun:
            return amount
        return Amount(Range(seen * (1 - GROWTH[0]), seen, seen * (1 + up)), {"measured": seen}, "measured")
    factor = seen / formula.range.likely if begun else max(1.0, seen / formula.range.likely)
    if factor == 1.0 and not begun:
        return amount
    likely = amount.range.likely * factor
    terms = {name: value * factor for name, value in amount.terms.items()}
    return Amount(Range(likely * (1 - GROWTH[0]), likely, likely * (1 + up)), terms, basis)


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
