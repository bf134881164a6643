"""Nights on AWS, on paper: what is made, what fires, what is seen, what is left."""

from __future__ import annotations

import base64
import copy
import gzip
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.response import StreamingBody

from dispatcher import paths
from dispatcher.backends.aws import roles, schedule, standing
from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.backends.aws.bucket import Bucket
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.domain.run import new_run_id
from dispatcher.errors import CloudRefused, HostUnreachable, NoCapacity, TeardownUnconfirmed, UsageError
from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.job import JobSpec
from dispatcher.moments import zone_named
from dispatcher.overnight.bundle import pack
from dispatcher.overnight.night import Night
from dispatcher.scheduling.cron import next_firing
from tests.lab.ec2 import iam
from tests.lab.ec2.iam import Need, judge

REGION = "us-east-1"
HOUR = 3600.0
DAY = 24 * HOUR
NIGHTLY = json.loads((paths.templates_dir() / "aws" / "overnight.json").read_text())


@pytest.fixture
def ready(backend):
    """The account as `mlrun setup aws --overnight` leaves it."""
    roles.make(backend.account)
    Bucket(backend.account, REGION).make()
    return backend


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text("print('hello')\n")
    tree = Tree(tmp_path / "work", (Entry("train.py", 15),))
    spec = JobSpec("mlrun-0000000000-1", "python train.py", "/var/lib/mlrun/runs/mlrun-0000000000-1.work")
    return pack(tmp_path / "bundle.tar.gz", tree, spec, ["out/"])


@pytest.fixture
def armed(ready, bundle, offer, clock, tmp_path):
    def make(after=HOUR, by=ready, others=(), **changes):
        night = Night(new_run_id(), "trains", "aws", REGION, clock.now() + after, "Europe/Rome", made=clock.now(), **changes)
        ladder = [replace(offer, zone=None, market=night.market), *others]
        return by.nights.arm(by.nights.prepare(night, ladder), bundle, ladder, tmp_path / "runs" / night.id)

    return make


def living(ec2):
    return [one for one in ec2.control("instances", {}) if one["state"] in ("pending", "running")]


def test_overnight_a_bundle_is_the_same_for_the_same_files(bundle, tmp_path):
    tree = Tree(tmp_path / "work", (Entry("train.py", 15),))
    spec = JobSpec("mlrun-0000000000-1", "python train.py", "/var/lib/mlrun/runs/mlrun-0000000000-1.work")
    assert bundle.sha256 == pack(tmp_path / "again.tar.gz", tree, spec, ["out/"]).sha256
    assert bundle.key == f"bundles/{bundle.sha256}.tar.gz"


def test_overnight_what_is_lacking_is_named_made_and_removed(backend):
    nights = backend.nights
    bucket = Bucket(backend.account, REGION)
    lacking = ["the role mlrun-night", "the role mlrun-scheduler", f"the bucket {bucket.name}"]
    assert lacking == nights.lacking(REGION)
    assert ["mlrun-night", "mlrun-scheduler", "mlrun-results"] == roles.make(backend.account)
    assert [] == roles.make(backend.account)
    bucket.make()
    bucket.make()
    bucket.put("nights/x.json", b"{}")
    assert [] == nights.lacking(REGION)
    assert ["mlrun-night", "mlrun-scheduler", "mlrun-results"] == roles.remove(backend.account)
    bucket.remove()
    assert lacking == nights.lacking(REGION)


def test_overnight_the_bucket_is_private_encrypted_and_empties_itself(ready):
    account, name = ready.account, Bucket(ready.account, REGION).name
    shut = account.call("s3", REGION, "get_public_access_block", "x", Bucket=name)["PublicAccessBlockConfiguration"]
    assert {True} == set(shut.values())
    rules = account.call("s3", REGION, "get_bucket_encryption", "x", Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert ["AES256"] == [one["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for one in rules]
    [rule] = account.call("s3", REGION, "get_bucket_lifecycle_configuration", "x", Bucket=name)["Rules"]
    assert (30, "Enabled") == (rule["Expiration"]["Days"], rule["Status"])


def test_overnight_a_line_that_drops_while_a_bucket_is_read_is_an_error_of_ours(ready, monkeypatch):
    bucket = Bucket(ready.account, REGION)
    bucket.put("x", b"short")
    monkeypatch.setattr(ready.account, "ask", lambda *_, **__: {"Body": StreamingBody(io.BytesIO(b"short"), 100)})
    with pytest.raises(HostUnreachable, match="an object"):
        list(bucket.stream("x"))
    with pytest.raises(AwsFailure, match="ConnectionFailed"):
        bucket.read("x")


def test_overnight_a_machine_arms_its_end_first_and_fits_into_user_data(ec2, armed):
    night = armed(max_seconds=7200, secrets={"TOKEN": ""})
    data = ec2.world.region(REGION).templates[night.template]["data"]
    packed = base64.b64decode(data["UserData"])
    text = gzip.decompress(packed).decode()
    assert len(packed) < 16384
    assert text.index("mlrun-limits: max_seconds=7200") < text.index("mlrun-deadman") < text.index("mlrun-night.service")
    assert ("terminate", "required") == (data["InstanceInitiatedShutdownBehavior"], data["MetadataOptions"]["HttpTokens"])
    assert "/mlrun/TOKEN" in text
    assert "mlrun-max-seconds" in json.dumps(data["TagSpecifications"])


def test_overnight_a_week_of_nights_leaves_nothing(ec2, armed, time, ledger):
    nights = [armed(after=DAY * number + HOUR, max_seconds=7200) for number in range(7)]
    time.advance(7 * DAY + HOUR)
    assert (7, [], []) == (ledger.count("CreateFleet", "ok"), living(ec2), ec2.control("schedules", {}))
    assert {one.id for one in nights} == {one["tags"]["mlrun-run"] for one in ec2.control("instances", {"all": True})}
    assert {"launch-template"} == {line.kind for line in ledger.open()}
    assert ledger.seconds("instance") <= 7 * 7300


def test_overnight_again_and_again_each_night_is_one_of_its_own(ec2, armed, ready, time, clock, ledger):
    parent = armed(cron="0 1 * * *", until=clock.now() + 5.5 * DAY, max_seconds=7200)
    first = next_firing(parent.cron, datetime.fromtimestamp(clock.now(), zone_named(parent.zone))).timestamp()
    parent = replace(parent, due=first)
    one = parent.firing(first + DAY)
    other = replace(parent, due=first + DAY).firing(first + 2 * DAY)
    time.advance(first - clock.now() + 60)
    assert ("running", "waiting") == tuple(ready.nights.look(night, clock.now()).phase for night in (one, other))
    Bucket(ready.account, REGION).put(f"out/{parent.label}/AROAX:i-1/outcome.json", b'{"refused": "too-late"}')
    for stored in kept_objects():
        stored.last_modified = datetime.fromtimestamp(clock.now(), UTC).replace(tzinfo=None)
    time.advance(DAY)
    assert ("over", "running") == tuple(ready.nights.look(night, clock.now()).phase for night in (one, other))
    assert len({one.id, other.id, parent.id}) == 3
    assert {parent.label} == {one.label, other.label}
    time.advance(7 * DAY)
    assert (5, [], []) == (ledger.count("CreateFleet", "ok"), living(ec2), ec2.control("schedules", {}))
    assert 5 == len({fleet["token"] for fleet in ec2.world.region(REGION).fleets.values()})
    assert one.token in {fleet["token"] for fleet in ec2.world.region(REGION).fleets.values()}
    ready.nights.disarm(parent)


def kept_objects():
    from moto.s3.models import s3_backends

    [place] = s3_backends["123456789012"]["aws"].buckets.values()
    return [key for name, key in place.keys.items() if name.startswith("out/")]


@pytest.mark.parametrize(
    ("five", "six"),
    [
        ("0 1 * * 1-5", "cron(0 1 ? * MON-FRI *)"),
        ("30 22 * * 0,6", "cron(30 22 ? * SUN,SAT *)"),
        ("0 1 * * 7", "cron(0 1 ? * SUN *)"),
        ("0 1 1 * *", "cron(0 1 1 * ? *)"),
        ("0 1 * * *", "cron(0 1 * * ? *)"),
        ("0 */6 * * mon", "cron(0 0/6 ? * mon *)"),
    ],
)
def test_overnight_cron_is_said_as_aws_says_it(five, six):
    assert six == schedule.aws_cron(five)


@pytest.mark.parametrize("five", ["0 1 1 * 1", "0 1 * * 1#2", "0 0 1 * * 1", "0 1 * * */2"])
def test_overnight_cron_that_aws_cannot_be_told_is_refused(five):
    with pytest.raises(UsageError, match="cannot be said"):
        schedule.aws_cron(five)


def test_overnight_late_and_twice_make_one_machine(ec2, armed, time, ledger):
    ec2.faults.add("FireSchedule", when="late", seconds=600)
    night = armed()
    time.advance(HOUR + 700)
    assert 1 == len(living(ec2))
    assert night.token == next(iter(ec2.world.region(REGION).fleets.values()))["token"]


def test_overnight_start_now_and_the_trigger_together_make_one_machine(ec2, armed, ready, time):
    night = armed()
    ec2.faults.add("DeleteSchedule", code="InternalError", n=-1)
    with pytest.raises(TeardownUnconfirmed, match="still stands"):
        ready.nights.start_now(night)
    time.advance(2 * HOUR - 1)
    assert 1 == len(ec2.control("instances", {"all": True}))
    ec2.faults.clear()
    ready.nights.disarm(night)


def test_overnight_a_refused_trigger_leaves_nothing(ec2, armed, ledger, ready):
    ec2.faults.add("CreateSchedule", code="ServiceQuotaExceededException")
    with pytest.raises(CloudRefused, match="ServiceQuotaExceeded"):
        armed()
    assert ([], []) == (ec2.control("schedules", {}), ledger.open())


def test_overnight_a_lost_answer_is_one_trigger(ec2, armed):
    ec2.faults.add("CreateSchedule", when="drop_after")
    night = armed()
    assert [night.trigger] == ec2.control("schedules", {})


def test_overnight_what_is_to_come_is_waited_for_and_what_did_not_is_told(ec2, armed, ready, time, clock):
    nights = ready.nights
    first, second = armed(), armed(after=2 * HOUR)
    ec2.faults.add("FireSchedule", when="drop_before", match={"Name": first.trigger})
    ec2.control("set", {"capacity": [{"type": "*", "most": 0}]})
    assert "waiting" == nights.look(first, clock.now()).phase
    time.advance(HOUR + 600)
    assert ("waiting", True) == (nights.look(first, clock.now()).phase, nights.look(first, clock.now()).stands)
    time.advance(2 * HOUR)
    assert "never-fired" == nights.look(first, clock.now()).reason
    seen = nights.look(second, clock.now())
    assert ("never", "no-capacity") == (seen.phase, seen.reason)
    assert "t3.large" in seen.words


def test_overnight_without_a_trail_the_truth_comes_an_hour_later(ec2, armed, ready, time, clock):
    ec2.faults.add("LookupEvents", code="AccessDeniedException", n=-1)
    ec2.control("set", {"capacity": [{"type": "*", "most": 0}]})
    night = armed()
    time.advance(HOUR + 120)
    assert "unknown" == ready.nights.look(night, clock.now()).phase
    time.advance(2 * HOUR)
    seen = ready.nights.look(night, clock.now())
    assert ("never", "never-fired") == (seen.phase, seen.reason)


def test_overnight_a_machine_that_was_taken_back_is_told_so(ec2, armed, ready, time, clock):
    night = armed(market="spot")
    time.advance(HOUR + 60)
    [one] = living(ec2)
    assert "running" == ready.nights.look(night, clock.now()).phase
    ec2.control("preempt", {"id": one["id"]})
    time.advance(300)
    seen = ready.nights.look(night, clock.now())
    assert ("gone", "Server.SpotInstanceTermination") == (seen.phase, seen.reason)


def test_overnight_without_an_image_nothing_is_armed(ec2, armed, ledger):
    ec2.faults.add("GetParameter", code="ParameterNotFound", n=-1)
    with pytest.raises(NoCapacity):
        armed()
    assert ([], []) == (ec2.control("schedules", {}), ledger.open())


@pytest.fixture
def story(ec2, ready, armed, settings, clock, tmp_path, time, monkeypatch):
    """All that nights ask of AWS in the name of a user who may do what the two policies say."""
    ready.nights.lacking(REGION)
    standing.make(ready.account, REGION, None)
    ec2.calls.clear()
    for name, value in ec2.control("user", {"name": "trainee", "policy": [json.loads(standing.policy()), NIGHTLY]}).items():
        monkeypatch.setenv(name, value)
    user = AwsBackend(settings, runs=tmp_path / "users", clock=clock)
    nights = user.nights
    assert [] == nights.lacking(REGION)
    nights.unset_secrets(REGION, ["TOKEN"])
    first, second = armed(by=user), armed(by=user)
    [one] = [nights.recall(one) for one in nights.triggers((REGION,)) if one.night == first.id]
    assert first.id == one.id
    nights.start_now(first)
    nights.disarm(second)
    ec2.control("set", {"capacity": [{"type": "*", "most": 0}]})
    third = armed(by=user)
    time.advance(HOUR + 120)
    assert "no-capacity" == nights.look(third, clock.now()).reason
    Bucket(user.account, REGION).put(f"nights/{third.id}.json", b"{}")
    return [Need(**need) for call in ec2.calls if call["by"] == "trainee" for need in call["needs"]]


def test_overnight_the_users_policies_are_enough_and_none_of_the_new_permissions_is_idle(story):
    both = [json.loads(standing.policy()), NIGHTLY]
    assert [] == [need.action for need in iam.missing(both, story) if need.action != "sts:GetCallerIdentity"]
    whole = {number for number, need in enumerate(story) if all_of(both, need)}
    idle = [
        f"{statement['Sid']}: {action}"
        for place, statement in enumerate(NIGHTLY["Statement"])
        for action in several(statement["Action"])
        if whole == {number for number, need in enumerate(story) if all_of([both[0], without(place, action)], need)}
    ]
    # what only machines write is read in the tests on real hosts; the lab asks no permission for a template at the launch
    assert {"ReadResults: s3:GetObject", "LaunchFromTheOwnTemplates: ec2:RunInstances"} >= set(idle)


def test_overnight_roles_may_do_no_more_than_they_must(ready):
    number = ready.account.identity()["Account"]
    for policy in (roles.machine_policy(number), roles.scheduler_policy(number)):
        assert [] == iam.check(policy)
    machine = [roles.machine_policy(number)]
    own = {"aws:userid": ["AROAX:i-1"]}
    bucket = f"arn:aws:s3:::mlrun-{number}-us-east-1"
    assert judge(machine, Need("s3:PutObject", f"{bucket}/out/mlrun-a-1/AROAX:i-1/log/0", own)).allowed
    for refused in ("out/mlrun-a-1/AROAX:i-2/log/0", "bundles/x", "nights/x.json"):
        assert not judge(machine, Need("s3:PutObject", f"{bucket}/{refused}", own)).allowed
    assert not judge(machine, Need("s3:ListBucket", bucket, own)).allowed
    assert not judge(machine, Need("s3:GetObject", f"{bucket}/out/mlrun-a-1/AROAX:i-1/log/0", own)).allowed
    assert not judge(machine, Need("ssm:GetParameter", f"arn:aws:ssm:us-east-1:{number}:parameter/other", own)).allowed


def test_overnight_the_scheduled_token_is_the_one_that_is_known(clock):
    night = Night("0000000000", "x", "aws", REGION, 1_800_000_000.0, "UTC")
    assert "mlrun-0000000000-1-2027-01-15T08:00:00Z" == schedule.token_of(night)
    assert len(schedule.token_of(night)) <= 64
    assert night == Night.from_json(night.as_json())


def all_of(policies, need):
    return judge(policies, need).allowed


def several(value):
    return value if isinstance(value, list) else [value]


def without(place, action):
    changed = copy.deepcopy(NIGHTLY)
    kept = [one for one in several(changed["Statement"][place]["Action"]) if one != action]
    changed["Statement"][place]["Action"] = kept or ["nothing:AtAll"]
    return changed


@pytest.mark.parametrize(("price", "most"), [(0.0104, "0.010400"), (0.10404, "0.104040"), (0.12345678, "0.123457")])
def test_overnight_a_machine_may_cost_what_the_screen_said_and_no_more(price, most):
    night = Night(new_run_id(), "trains", "aws", REGION, HOUR, "UTC", prices={"t3.large": price, "t3.small": 0.001})
    assert most == schedule.fleet(night, "lt-1", [], "token", {})["OnDemandOptions"]["MaxTotalPrice"]
