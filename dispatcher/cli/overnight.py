"""Runs that a cloud starts by itself: asked for and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dispatcher.cli.render.console import bold, caution, dim, document, good, say, width
from dispatcher.cli.render.tables import wrapped
from dispatcher.errors import UsageError
from dispatcher.moments import comes_twice, seconds_between, show_moment, zone_named
from dispatcher.units import show_bytes, show_seconds, show_usd

if TYPE_CHECKING:
    from dispatcher.app.overnight import There
    from dispatcher.app.schedules import Planned
    from dispatcher.overnight.night import Night


CLOUDS = {"aws": "AWS", "gcp": "Google Cloud"}
ENDS = {"aws": "which deletes itself", "gcp": "which the machine deletes"}
SCHEMES = {"aws": "s3", "gcp": "gs"}


def arm(made: Planned, flags: Mapping[str, Any], now: datetime) -> int:
    """Ask, freeze, send, and say what was made."""
    from dispatcher.app import overnight, runs
    from dispatcher.app.results import refuse_at_night
    from dispatcher.cli.elsewhere import agreed
    from dispatcher.jobfile.settings import load_settings

    if len(made.loaded) > 1:
        from dispatcher.cli.queues import armed

        return _told(armed(made, flags, now), flags, now)
    loaded, settings = made.loaded[0], load_settings()
    where = made.plans[0].chosen.offer.where if made.plans[0].chosen else ""
    guard = runs.watched("aws") if where == "aws" else "account"  # with which every night's machine of Google's ends itself
    watched = guard if guard != "schedule" else ""  # that is armed by whoever starts a machine: here nobody does
    refuse_at_night(loaded)
    asked = {"quiet": False, "as_json": False, "yes": False} | dict(flags) | {"detach": False, "watched": watched}
    plan = agreed(made.plans[0], loaded, asked, settings)
    with runs.opened() as ctx:
        store, cron = ctx.store, made.cron or ""
        night = overnight.arm(loaded, plan, made.due, made.ends[0], settings, store, now.timestamp(), cron)
    return _told(night, flags, now)


def _told(night: Night, flags: Mapping[str, Any], now: datetime) -> int:
    if flags["as_json"]:
        document({"schema": "1.0", "schedule": record(night)})
    else:
        _say_armed(night, now)
    return 0


def record(night: Night) -> dict[str, Any]:
    """A night as JSON."""
    files = [one["job"]["file"] for one in night.queue]
    return {
        "id": night.id, "job": files or night.job.get("file"), "name": night.name, "where": night.where, "region": night.region,
        "next": night.moment.isoformat(), "cron": night.cron or None, "worst_case_usd": round(night.cost_worst, 4),
        "trigger": night.trigger, "machines": dict(night.prices), "market": night.market, "secrets": sorted(night.secrets),
        "bucket": night.bucket, "bundle": {"key": night.bundle, "sha256": night.sha256, "bytes": night.size}, "fired": [],
        "budget_usd": night.budget,
    }  # fmt: skip


def listing(found: Iterable[There], now: datetime) -> list[list[str]]:
    """Rows for `schedule ls`."""
    return [[one.id[:6], one.name, _when(one, now), _about(one)] for one in found]


def rows(found: Iterable[There]) -> list[dict[str, Any]]:
    """The same, as JSON."""
    return [
        {
            "id": one.id, "name": one.name, "where": one.where, "region": one.region, "here": one.here, "words": one.words,
            "next": datetime.fromtimestamp(one.due, UTC).isoformat(), "worst_case_usd": one.worst,
        }
        for one in found
    ]  # fmt: skip


def setup(regions: Sequence[str], agree: Callable[[str], None], *, as_json: bool) -> int:
    """Make the roles and the buckets that nights need, after asking."""
    from dispatcher.backends.aws import ends, roles
    from dispatcher.backends.aws.bucket import KEPT_DAYS, Bucket
    from dispatcher.backends.aws.client import Account
    from dispatcher.doctor.aws import region_of
    from dispatcher.jobfile.settings import load_settings

    settings = load_settings().aws
    account = Account(settings.profile)
    buckets = [Bucket(account, region) for region in regions or settings.regions or (region_of(settings, account),)]
    wanted = [f"role {name}" for name in (*roles.lacking(account, roles.EVERY), *ends.lacking(account))]
    wanted += [f"bucket {one.name} in {one.region}" for one in buckets if not one.there()]
    if not as_json:
        say(f"{bold('WHO')}       {account.identity()['Arn']}")
        may = f"reads its bundle and secrets below {roles.SECRETS}, writes below its own name"
        say(f"{bold('ROLES')}     {roles.MACHINE}: {may}")
        say(f"          {roles.SCHEDULER}: starts one machine that carries its owner, and passes it that role")
        say(f"          {roles.KEEPER}: of machines with `results: auto`, writes below its own name")
        say(f"          {ends.ROLE}: ends machines at their limit, by a schedule that each one gets which you start yourself")
        say(f"{bold('BUCKETS')}   private, encrypted, everything in them goes after {KEPT_DAYS} days")
        for one in wanted:
            say(f"· to be made: {one}")
    if wanted:
        agree("Make them?")
    made = [f"role {name}" for name in (*roles.make(account), *ends.make(account))]
    made += [f"bucket {one.name}" for one in buckets if _made(one)]
    if as_json:
        document({"schema": "1.0", "made": made})
    else:
        say(f"{good('✓')} {', '.join(made) or 'Nothing was missing'}. Next: {bold('mlrun JOB --at 23:00 --where aws')}")
    return 0


def refuse_unfinished(where: str) -> None:
    """Nights need what `--remove` takes until their results are home. Raises UsageError."""
    from dispatcher.app import overnight

    if standing := list(dict.fromkeys(one.night[:6] for one in overnight.of(where).triggers(()))):
        raise UsageError(f"Runs are still to come: {', '.join(standing)}.", fix=f"mlrun schedule rm {standing[0]}")
    if going := [one[:6] for one in overnight.unfinished(where)]:
        fix = f"mlrun ps brings home what is over; mlrun stop {going[0]} ends what goes on."
        raise UsageError(f"Runs of the night are on their way, or not home yet: {', '.join(going)}.", fix=fix)


def take_back(regions: Sequence[str], agree: Callable[[str], None], *, as_json: bool) -> int:
    """Remove roles and buckets; refused while a trigger stands, or a night is not home."""
    from dispatcher.backends.aws import ends, reaper, roles
    from dispatcher.backends.aws.bucket import Bucket
    from dispatcher.backends.aws.client import Account
    from dispatcher.jobfile.settings import load_settings

    refuse_unfinished("aws")
    settings = load_settings().aws
    account = Account(settings.profile)
    every = regions or settings.regions or account.regions()
    buckets = [one for one in (Bucket(account, region) for region in every) if one.there()]
    what = [*(f"bucket {one.name} and everything in it" for one in buckets), "the roles"]
    agree(f"Remove {', '.join(what)}?")
    for one in buckets:
        one.remove()
    gone = [*(one.name for one in buckets), *roles.remove(account), *ends.remove(account, unless=reaper.NAME)]
    if as_json:
        document({"schema": "1.0", "removed": gone})
    else:
        say(f"{good('✓')} removed: {', '.join(gone) or 'nothing was there'}")
    return 0


def _made(bucket: Any) -> bool:
    new = not bucket.there()
    bucket.make()
    return new


def _say_armed(night: Night, now: datetime) -> None:
    kinds = ", ".join(night.prices)
    again = f", again at {night.cron!r}" if night.cron else ""
    cloud, bucket = CLOUDS[night.where], f"{SCHEMES[night.where]}://{night.bucket}"
    start = show_moment(night.moment, now)
    say(f"{good('✓')} {night.id[:6]}: {night.name} starts {start}{again}, on {cloud} in {night.region}")
    if comes_twice(night.moment):
        say(f"{caution('!')} The clock shows this time twice that night: the first is meant.")
    worst = f"at worst {show_usd(night.cost_worst)}; it ends by itself {show_seconds(night.max_seconds)} after its start"
    lines = [
        f"machine: {kinds} ({night.market}), the first that {cloud} has, at most {show_usd(night.max_hourly)} per hour",
        worst,
        f"sent: {show_bytes(night.size)} to {bucket}/{night.bundle[:20]}…, private, gone after 30 days",
        f"{_triggers(night)}. Nothing of ours runs until then; this computer may be off",
        "outputs and log come home with the first mlrun command after",
    ]
    if night.cron and night.until:
        end = datetime.fromtimestamp(night.until, night.moment.tzinfo)
        lines.insert(2, f"each time; the last before {end:%d %b}, as its bundle is kept no longer")
    for line in lines:
        say("\n".join(wrapped(f"  {line}", width(), "    ")))
    now_too = "" if night.cron else f" · mlrun schedule run-now {night.id[:6]}"
    say(dim(f"· mlrun schedule ls · mlrun schedule rm {night.id[:6]}{now_too}"))


def _triggers(night: Night) -> str:
    """What was armed, by its name; of a ladder whose rungs have one each, how many."""
    if night.cron and night.where == "gcp":
        return f"trigger: {night.trigger}, which the first mlrun command after its last time deletes"
    if (count := len(night.rungs)) > 1:
        return f"triggers: {night.trigger}, then -2 to -{count}, five minutes apart; the machine deletes all {count}"
    return f"trigger: {night.trigger}, {ENDS[night.where]}"


def _when(one: There, now: datetime) -> str:
    moment = datetime.fromtimestamp(one.due, zone_named(None))
    return ("since " if seconds_between(now, moment) < 0 else "") + show_moment(moment, now)


def _about(one: There) -> str:
    worst = f"at worst {show_usd(one.worst)}" if one.worst is not None else ""
    return "; ".join(filter(None, [one.words, "" if one.here else "of another computer", f"{one.where} {one.region}", worst]))
