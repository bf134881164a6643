"""Nights on Google Cloud, on paper: what is made, what fires, what is seen, what is left."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ruamel.yaml import YAML

from dispatcher import paths
from dispatcher.backends.gcp import nights_roles, nights_words
from dispatcher.backends.gcp.nights_bucket import Bucket
from dispatcher.errors import CloudRefused, NoCapacity
from dispatcher.overnight.night import Night
from tests.lab.gce.accounts import needed
from tests.lab.gce.places import PROJECT
from tests.unit.backends.aws.conftest import SleepersClock
from tests.unit.backends.gcp.conftest import DAY, HOUR, OFFER, REGION, end, living


def test_overnight_gcp_what_is_lacking_is_named_made_and_removed(backend, gce):
    nights, account = backend.nights, backend.account
    bucket = Bucket(account, REGION)
    lacking = ["the service account mlrun-night", "the service account mlrun-scheduler", f"the bucket {bucket.name}"]
    assert lacking == nights.lacking(REGION)
    assert ["mlrun-night", "mlrun-scheduler"] == nights_roles.make(account)
    assert [] == nights_roles.make(account)
    bucket.make()
    bucket.put("nights/x.json", b"{}")
    assert [] == nights.lacking(REGION)
    [users] = gce.identities.users.values()
    users.insert(0, {"role": "roles/iam.serviceAccountAdmin", "members": ["user:ann@example.com"]})
    gce.identities.bindings.pop()
    assert ["the binding of mlrun_scheduler"] == nights.lacking(REGION)
    nights_roles.make(account)
    assert [2] == [len(one) for one in gce.identities.users.values()]
    assert ["mlrun-night", "mlrun-scheduler"] == nights_roles.remove(account)
    bucket.remove()
    assert lacking == nights.lacking(REGION)
    assert [] == gce.identities.bindings
    assert ["mlrun-night", "mlrun-scheduler"] == nights_roles.make(account)


def test_overnight_gcp_accounts_that_google_does_not_know_everywhere_yet_are_waited_for(backend, gce, time):
    said = "Service account mlrun-night@lab-project.iam.gserviceaccount.com does not exist."
    gce.faults.add("manager.projects.setIamPolicy", code="400", n=3, message=said)
    begun = time.now()
    nights_roles.make(backend.account, SleepersClock(time))
    assert 7 <= time.now() - begun <= 60
    assert [] == list(nights_roles.unbound(backend.account))
    gce.faults.add("manager.projects.setIamPolicy", code="400", n=-1, message=said)
    with pytest.raises(CloudRefused, match="does not exist"):
        nights_roles.make(backend.account, SleepersClock(time))


def test_overnight_gcp_the_bucket_is_private_and_empties_itself(ready, gce):
    shown = gce.storage.known[Bucket(ready.account, REGION).name].resource
    access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    assert (access, {"retentionDurationSeconds": "0"}) == (shown["iamConfiguration"], shown["softDeletePolicy"])
    assert [{"action": {"type": "Delete"}, "condition": {"age": 30}}] == shown["lifecycle"]["rule"]


def test_overnight_gcp_a_machine_is_told_its_end_first_and_has_its_account(armed, gce):
    night = armed(max_seconds=7200, secrets={"TOKEN": ""})
    [job] = [one.resource for one in gce.scheduler.known.values() if one.key[1] == night.trigger]
    asked = json.loads(base64.b64decode(job["httpTarget"]["body"]))
    script = next(one["value"] for one in asked["metadata"]["items"] if one["key"] == "startup-script")
    assert {"seconds": "7200"} == asked["scheduling"]["maxRunDuration"]
    assert "DELETE" == asked["scheduling"]["instanceTerminationAction"]
    assert f"mlrun-night@{PROJECT}.iam.gserviceaccount.com" == asked["serviceAccounts"][0]["email"]
    assert script.index("mlrun-limits: max_seconds=7200") < script.index("mlrun-deadman") < script.index("mlrun-night.service")
    assert f"projects/{PROJECT}/secrets/mlrun-TOKEN" in script
    assert str(night.label) == asked["name"]


def test_overnight_gcp_the_first_rung_that_has_a_machine_makes_one(armed, gce, time):
    gce.control("set", {"stockouts": [{"zone": "us-central1-[ab]"}]})
    night = armed()
    assert ("us-central1-a/e2-standard-2", 4) == (night.rungs[0], len(night.rungs))
    time.advance(HOUR + 550)
    assert [] == living(gce)
    time.advance(100)
    assert ["us-central1-c"] == living(gce)
    end(gce)


def test_overnight_gcp_a_trigger_that_fires_twice_makes_one_machine(armed, gce, time, ledger):
    gce.faults.add("jobs.fire", when="drop_after")
    armed()
    time.advance(HOUR + 120)
    assert (1, 2) == (len(living(gce)), ledger.count("jobs.fire", "ok"))
    end(gce)


def test_overnight_gcp_the_triggers_account_may_do_what_it_must_and_nothing_else(armed, gce, time):
    armed()
    time.advance(HOUR + 120)
    by = f"mlrun-scheduler@{PROJECT}.iam.gserviceaccount.com"
    asked = {permission for one in gce.front.calls if one.principal == by for permission in needed(one)}
    assert {*nights_roles.LAUNCHES, "iam.serviceAccounts.actAs"} == asked
    end(gce)


@pytest.mark.parametrize("lost", [*nights_roles.LAUNCHES, "iam.serviceAccounts.actAs"])
def test_overnight_gcp_without_one_of_them_there_is_no_machine_and_that_is_told(armed, ready, gce, time, lost):
    night = armed()
    account = f"mlrun-scheduler@{PROJECT}.iam.gserviceaccount.com"
    accounts = gce.settings.accounts
    accounts[account] = [one for one in accounts[account] if not one.startswith(lost)]
    time.advance(HOUR + 1800)
    seen = ready.nights.look(night, time.now())
    assert ("never", "never-fired") == (seen.phase, seen.reason)
    assert "code 7 of google.rpc" in seen.words
    assert [] == living(gce)


def test_overnight_gcp_submitting_takes_the_two_roles_and_nothing_else(armed, ready, gce, time):
    def role(name):
        return list(YAML(typ="safe").load((paths.templates_dir() / "gcp" / name).read_text())["includedPermissions"])

    gce.control("set", {"permissions": [*role("role.yaml"), *role("overnight-role.yaml")]})
    gce.front.calls.clear()
    nights = ready.nights
    assert [] == nights.lacking(REGION)
    night = armed()
    assert {"TOKEN"} == set(nights.unset_secrets(REGION, ["TOKEN"]))
    assert [night.id] == [one.night for one in nights.triggers(())]
    assert night.id == nights.recall(nights.triggers(())[0]).id
    assert "waiting" == nights.look(night, time.now()).phase
    Bucket(ready.account, REGION).put(f"out/{night.label}/1/outcome.json", b"{}")
    nights.look(night, time.now())
    Bucket(ready.account, REGION).put(f"nights/{night.id}.json", b"{}")
    nights.disarm(night)
    asked = {permission for call in gce.front.calls for permission in needed(call)} | {"storage.objects.delete"}
    assert set(role("overnight-role.yaml")) <= asked
    assert asked <= {*role("role.yaml"), *role("overnight-role.yaml"), "resourcemanager.projects.getIamPolicy"}


def test_overnight_gcp_what_nobody_may_is_said_before_anything_is_made(armed, gce):
    gce.control("set", {"permissions": ["cloudscheduler.jobs.create"]})
    with pytest.raises(CloudRefused, match=r"cloudscheduler\.jobs\.delete"):
        armed()
    assert [] == gce.control("schedules", {})


def test_overnight_gcp_no_capacity_is_told_once_every_rung_was_tried(armed, ready, gce, time):
    gce.control("set", {"stockouts": [{}]})
    night = armed(others=[replace(OFFER, machine="n2-standard-2", price_per_hour=0.05)])
    assert 6 == len(night.rungs)
    time.advance(HOUR + 700)
    seen = ready.nights.look(night, time.now())
    assert ("waiting", True) == (seen.phase, seen.stands)
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in seen.words
    time.advance(HOUR)
    seen = ready.nights.look(night, time.now())
    assert ("never", "no-capacity") == (seen.phase, seen.reason)
    assert "e2-standard-2, n2-standard-2 in us-central1-a, us-central1-b" in seen.words
    ready.nights.disarm(night)
    assert [] == gce.control("schedules", {})


def test_overnight_gcp_started_now_it_walks_the_ladder_and_the_triggers_go(armed, ready, gce):
    night = armed()
    gce.control("set", {"stockouts": [{}]})
    with pytest.raises(NoCapacity, match="ZONE_RESOURCE_POOL_EXHAUSTED"):
        ready.nights.start_now(night)
    assert 4 == len(gce.control("schedules", {}))
    gce.control("set", {"stockouts": [{"zone": "us-central1-a"}]})
    other = armed()
    ready.nights.start_now(other)
    assert ["us-central1-b"] == living(gce)
    ready.nights.disarm(night)
    assert [] == gce.control("schedules", {})
    end(gce)


def test_overnight_gcp_a_week_of_nights_leaves_nothing(armed, gce, time, ledger):
    nights = [armed(after=DAY * number + HOUR, max_seconds=7200) for number in range(7)]
    for night in nights:
        time.advance(night.due + 60 - time.now())
        assert 1 == len(living(gce))
        for name in [one for one in gce.control("schedules", {}) if night.id in one]:
            gce.scheduler.known.pop((nights_words.HOME, name)).cancel()
    time.advance(DAY)
    assert ([], []) == (living(gce), gce.control("schedules", {}))
    assert [] == ledger.open()
    assert ledger.seconds("instance") <= 7 * 7300


def test_overnight_gcp_again_and_again_has_one_rung_and_one_machine_a_night(armed, ready, gce, time, ledger):
    night = armed(after=HOUR, cron="30 23 * * *", until=time.now() + 3 * DAY, max_seconds=3600)
    assert 1 == len(night.rungs) == len(gce.control("schedules", {}))
    at = datetime.fromtimestamp(nights_words.times(night)[-1], UTC)
    assert (22, 30) == (at.hour, at.minute)
    time.advance(3 * DAY)
    assert 3 == ledger.count("instances.insert", "ok")
    assert [] == living(gce)
    ready.nights.disarm(night)


@pytest.mark.parametrize(
    ("due", "number", "said"),
    [
        ("2026-12-31T22:59:00", 0, "59 22 31 12 *"),
        ("2026-12-31T23:58:00", 1, "3 0 1 1 *"),
        ("2028-02-29T01:00:00", 0, "0 1 29 2 *"),
    ],
)
def test_overnight_gcp_once_is_a_date_in_utc(due, number, said):
    night = Night("0123456789", "n", "gcp", REGION, datetime.fromisoformat(f"{due}+00:00").timestamp(), "Europe/Rome")
    assert {"schedule": said, "timeZone": "Etc/UTC"} == nights_words.schedule(night, number)


def test_overnight_gcp_seconds_are_never_before_what_was_said():
    assert (120.0, 180.0) == (nights_words.on_the_minute(120.0), nights_words.on_the_minute(120.5))
