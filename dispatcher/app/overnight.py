"""Runs that a cloud starts by itself: armed, listed, brought home."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from dispatcher import paths
from dispatcher.app.access import usable
from dispatcher.app.limits import check_limits, times_this_month
from dispatcher.app.mornings import settled
from dispatcher.app.rungs import rungs
from dispatcher.app.submit import alike, beside_per_hour, compact, instructions
from dispatcher.app.world import data_paths, tariff
from dispatcher.backends import registry
from dispatcher.backends.cloud.tags import CLIENT as TAG
from dispatcher.domain.plan import Candidate, Offer, Plan
from dispatcher.domain.run import Label, new_run_id
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.errors import CloudRefused, MlrunError, TeardownUnconfirmed, UsageError
from dispatcher.events import Warned
from dispatcher.hosts.base import Host
from dispatcher.hosts.job import JobSpec
from dispatcher.hosts.remote_env import remote_environment
from dispatcher.hosts.sync import manifest
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.settings import Settings, load_settings
from dispatcher.moments import seconds_between, zone_name, zone_named
from dispatcher.notices.addresses import record_of, text_without
from dispatcher.overnight import night as nights
from dispatcher.overnight.base import Nights, Trigger
from dispatcher.overnight.bundle import Bundle, pack
from dispatcher.overnight.night import LONGEST_AHEAD_DAYS, Night
from dispatcher.scheduling.cron import LOOKED_AT, next_firing
from dispatcher.store.store import Store
from dispatcher.units import show_seconds

CLOUDS = ("aws", "gcp")
"""Clouds that start runs by themselves in this version."""
CLIENT = "overnight"
"""What its machine's tags say in place of a computer's name: no computer's `sweep` takes it for its own before its end."""
MOST_TYPES = 6
LATE_SECONDS = 3600.0
"""How late a trigger may fire."""
ROOT = "/var/lib/mlrun/runs"
DAY = 86400.0
LEAST_SECONDS = 300.0
"""With less time than this no machine is worth its start."""


@dataclass(frozen=True, slots=True)
class There:
    """A night or a trigger as `schedule ls` shows it. `here`: this computer submitted it."""

    where: str
    id: str
    name: str
    region: str
    due: float
    words: str
    here: bool
    worst: float | None = None


def of(where: str) -> Nights:
    """A cloud's side of it. Raises UsageError where there is none."""
    backend = registry.load(where)
    found = getattr(backend, "nights", None)
    if found is None:
        raise UsageError(
            f"{where} starts no runs by itself in this version.", fix=f"--where {' or '.join(CLOUDS)}, or --where local."
        )
    return cast(Nights, found)


def arm(
    loaded: LoadedJob,
    plan: Plan,
    due: datetime,
    latest: float | None,
    settings: Settings,
    store: Store,
    now: float,
    cron: str = "",
) -> Night:
    """Freeze everything, send it, and have the cloud start it at that time, or at each. Raises why that cannot be."""
    chosen = plan.chosen
    assert chosen is not None
    if cron:
        _check_apart(cron, due, (chosen.hard_stop_seconds or 3600.0) + chosen.grace_seconds)

    def frozen(night: Night) -> Night:
        return replace(night, cron=cron, until=now + LONGEST_AHEAD_DAYS * DAY) if cron else replace(night, latest=latest)

    def packed(night: Night, file: Path) -> Bundle:
        tree = manifest(loaded.workdir, data=data_paths(loaded)).tree
        return pack(file, tree, spec_of(night, loaded, settings, night.label, f"{Label(night.id)}.work"), night.outputs)

    return sent(loaded, plan, due, settings, store, now, loaded.config.secrets, frozen, packed)


def sent(
    loaded: LoadedJob,
    plan: Plan,
    due: datetime,
    settings: Settings,
    store: Store,
    now: float,
    secrets: Sequence[str],
    frozen: Callable[[Night], Night],
    packed: Callable[[Night, Path], Bundle],
) -> Night:
    """Check what has to be there, then have the cloud start the plan's machine. `frozen` completes the record, `packed` writes
    what the machine fetches."""
    chosen = plan.chosen
    assert chosen is not None
    if due.timestamp() - now > LONGEST_AHEAD_DAYS * DAY:
        raise UsageError(f"A cloud keeps a run's bundle for {LONGEST_AHEAD_DAYS} days at most.", fix="Choose an earlier start.")
    decided = frozen(_frozen(loaded, plan, chosen, due, now))
    check_limits(chosen, settings.limits, store, now, times_this_month(decided, now))
    cloud = of(chosen.offer.where)
    region = str(chosen.offer.region)
    if missing := cloud.lacking(region):
        fix = f"mlrun setup {chosen.offer.where} --overnight --region {region}"
        raise CloudRefused(f"The account lacks {', '.join(missing)}", fix=fix)
    if unset := cloud.unset_secrets(region, secrets):
        raise UsageError(f"{', '.join(unset)}: the cloud holds no such secret.", fix="; ".join(unset.values()))
    ladder = list(_ladder(plan, settings))
    night = cloud.prepare(decided, ladder)
    keys = paths.runs_dir() / night.id
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    nights.keep(night)  # what is being made is known before it is
    file = nights.folder() / f"{night.id}.tar.gz"
    try:
        night = cloud.arm(night, packed(night, file), ladder, keys)
    except TeardownUnconfirmed:
        raise
    except BaseException:
        nights.forget(night)
        raise
    finally:
        file.unlink(missing_ok=True)
    nights.keep(night)
    return night


def starting(settings: Settings) -> tuple[str, ...]:
    """Clouds that are asked for nights: those that start runs by themselves, and let us in."""
    return tuple(one for one in usable(settings) if one in CLOUDS)


def listed(where: str, now: float) -> Iterator[There]:
    """What stands in a cloud, whoever submitted it, and this computer's nights there that are not home yet."""
    mine, cloud = {one.id: one for one in nights.every() if one.where == where}, of(where)
    for trigger in cloud.triggers(()):
        known = mine.pop(trigger.night, None)
        found = known or cloud.recall(trigger)
        yield _there(where, trigger, found, now, here=known is not None)
    for one in mine.values():
        words = (seen := cloud.look(one, now)).words or seen.phase
        yield There(where, one.id, one.name, one.region, one.begins, words, here=True, worst=one.cost_worst)


def find(text: str) -> Night:
    """The night with this id, or whose id begins so: of this computer, else of the clouds. Raises UsageError."""
    found = [one for one in nights.every() if one.id.startswith(text)]
    silent: MlrunError | None = None
    for where in () if found else starting(load_settings()):
        try:
            cloud = of(where)
            recalled = [cloud.recall(one) for one in cloud.triggers(()) if one.night.startswith(text)]
            found += [one for one in recalled if one is not None]
        except MlrunError as why:
            silent = why  # it may be another cloud's
    if silent and not found:
        raise silent
    if len(found) != 1 or not text:
        what = "several schedules begin so" if found else "there is no such schedule"
        raise UsageError(f"{text!r}: {what}", fix="mlrun schedule ls")
    return found[0]


def remove(night: Night) -> list[Night]:
    """Have nothing started any more; those that are on their way and go on, which stay on record.

    Raises TeardownUnconfirmed where a trigger may still fire; it stays on record then.
    """
    cloud, now = of(night.where), time.time()
    if night.cron and any(one.id == night.id for one in nights.every()):
        night = _expanded(night, now)
    cloud.disarm(night)
    begun = [one for one in nights.every() if night.id in (one.id, one.carries) and one.begins <= now and not one.cron]
    going = [one for one in begun if cloud.look(one, now).phase != "never"]
    if all(one.id != night.id for one in going):
        nights.forget(night)
    if now < night.begins and not going:
        shutil.rmtree(paths.runs_dir() / night.id, ignore_errors=True)  # keys that no machine was born with
    return going


def unfinished(where: str) -> list[str]:
    """Nights in a cloud that are on their way, whoever submitted them, and this computer's whose results are not home."""
    machines = (one for one in registry.load(where).leftovers() if one.kind == "instance" and one.label)
    alive = [one.label.run for one in machines if one.label and one.tags.get(TAG) == CLIENT]
    return list(dict.fromkeys([*alive, *(one.carries or one.id for one in nights.every() if one.where == where)]))


def start_now(night: Night, now: float) -> Night:
    """Start it now instead of at its time."""
    if night.cron:
        text = f"{night.name} comes again: starting it between its times is not part of this version."
        raise UsageError(text, fix="mlrun JOB")
    begun = replace(night, started_now=now)
    try:
        of(night.where).start_now(night)
    except TeardownUnconfirmed:
        nights.keep(begun)  # its machine is there; only the trigger is not gone
        raise
    nights.keep(begun)
    return begun


def morning(ctx: Context) -> None:
    """Bring home what became of nights whose time has come; what cannot be learned now is by a later command."""
    now = ctx.clock.now()
    for night in list(nights.every()):
        if night.cron:
            _expand(ctx, night, now)
    for night in list(nights.every()):
        if now < night.begins or night.cron:
            continue
        try:
            settled(ctx, of(night.where), night, now)
        except MlrunError as error:
            ctx.tell(Warned(night.id, now, f"{night.name} ({night.id[:4]}) of last night: {error.message}", error.fix))


def _expand(ctx: Context, night: Night, now: float) -> None:
    """Each of its times that has come is a night of its own; after its last one, trigger and template go."""
    night = _expanded(night, now)
    if night.until and min(now, night.due) > night.until:
        try:
            of(night.where).disarm(night)
            nights.forget(night)
        except MlrunError as error:
            ctx.tell(Warned("", now, f"{night.name}: {error.message}", error.fix))


def _expanded(night: Night, now: float) -> Night:
    """Written down anew, with a night for each of its times that has come."""
    while night.due <= min(now, night.until or now):
        following = next_firing(night.cron, night.moment).timestamp()
        nights.keep(night.firing(following))
        night = replace(night, due=following)
        nights.keep(night)
    return night


def _check_apart(cron: str, first: datetime, life: float) -> None:
    """Its machines carry one label: none may still be there when the next one starts. Raises UsageError."""
    for _ in range(LOOKED_AT):
        following = next_firing(cron, first)
        if seconds_between(first, following) <= life + LATE_SECONDS:
            text = f"{cron!r} fires again while the run before it may still go on: it takes at most {show_seconds(life)}."
            raise UsageError(text, fix="A shorter --max-time, or longer pauses.")
        first = following


def any_due(now: float) -> bool:
    """Whether a night of this computer has begun; no cloud is asked."""
    return os.path.isdir(nights.folder()) and any(one.begins <= now for one in nights.every())  # noqa: PTH112


def _there(where: str, trigger: Trigger, night: Night | None, now: float, *, here: bool) -> There:
    name = night.name if night else trigger.about.removeprefix("mlrun: ").partition(",")[0] or trigger.name
    try:
        due = night.due if night else datetime.fromisoformat(trigger.when).replace(tzinfo=UTC).timestamp()
    except ValueError:
        due = 0.0
    words = ""
    if night and night.cron and night.until:
        today = datetime.fromtimestamp(now, zone_named(night.zone))
        due = next_firing(night.cron, today).timestamp()
        words = f"again at {night.cron!r} until {datetime.fromtimestamp(night.until, today.tzinfo):%d %b}"
    worst = night.cost_worst if night else None
    return There(where, trigger.night, name, trigger.region, due, words, here=here, worst=worst)


def _ladder(plan: Plan, settings: Settings) -> Iterator[Offer]:
    """The choice, then other types of its region and market, none dearer: one request walks them."""
    assert plan.chosen is not None
    first = plan.chosen.offer
    told: set[str | None] = set()
    for one in rungs(plan, alike(settings), tariff):
        alike_place = (one.where, one.region, one.market) == (first.where, first.region, first.market)
        if alike_place and one.arch == first.arch and one.machine not in told and len(told) < MOST_TYPES:
            told.add(one.machine)
            yield one


def _frozen(loaded: LoadedJob, plan: Plan, chosen: Candidate, due: datetime, now: float) -> Night:
    stop = chosen.hard_stop_seconds or 3600.0
    return Night(
        id=new_run_id(),
        name=loaded.name,
        where=chosen.offer.where,
        region=str(chosen.offer.region),
        due=due.timestamp(),
        zone=zone_name(due),
        made=now,
        client=CLIENT,
        deadline_seconds=stop,
        max_seconds=round(stop + chosen.grace_seconds),
        grace_seconds=round(chosen.grace_seconds),
        disk_gb=chosen.offer.disk_gb,
        market=chosen.offer.market,
        offer=asdict(chosen.offer),
        beside_per_hour=beside_per_hour(chosen),
        cost_likely=(chosen.cost.likely or 0.0) if chosen.cost else 0.0,
        cost_worst=chosen.cost.worst_case if chosen.cost else 0.0,
        secrets=dict.fromkeys(loaded.config.secrets, ""),
        outputs=tuple(loaded.config.outputs),
        workdir=str(loaded.workdir),
        plan=compact(plan),
        job={"file": plan.job.file, "sha256": plan.job.sha256, "run": loaded.config.run, "text": text_without(loaded)}
        | record_of(loaded),
    )


class _Rented:
    """Where things will stand on a machine that is not there yet."""

    root = ROOT


def spec_of(night: Night, loaded: LoadedJob, settings: Settings, label: Label, folder: str) -> JobSpec:
    """The job as the agent will start it; its deadline and its secrets are filled in there."""
    config = loaded.config.model_copy(update={"secrets": ()})
    job: JobInstructions = instructions(replace(loaded, config=config), settings, None, do_setup=True, here=False)
    environment = remote_environment(cast(Host, _Rented()), job.workdir, job.setup, night.name)
    cwd = f"{ROOT}/{folder}"
    outputs = os.pathsep.join(f"{cwd}/{path}" for path in job.outputs)
    return JobSpec(
        label=str(label),
        command=job.command,
        cwd=cwd,
        env={**job.env, "DISPATCHER_OUTPUTS": outputs},
        setup=environment.before(job.setup),
        path_prefix=environment.path_prefix,
        stop_grace=job.stop_grace,
    )
