"""Values of settings, in every form people write them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dispatcher.domain.job import Budget, Dataset, JobConfig, Resources, Training
from dispatcher.domain.plan import GpuRequest


def gpus(value):
    return Resources.model_validate({"gpu": value}).gpu


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("T4", (GpuRequest("T4"),)),
        ("L4:1", (GpuRequest("L4"),)),
        ("A100-80GB:8", (GpuRequest("A100-80GB", count=8),)),
        ("RTX 3060", (GpuRequest("RTX 3060"),)),
        ("24GB+", (GpuRequest(min_memory_gib=24),)),
        ("24GB..", (GpuRequest(min_memory_gib=24),)),
        ("24GB..80GB", (GpuRequest(min_memory_gib=24, max_memory_gib=80),)),
        ("..24GB", (GpuRequest(max_memory_gib=24),)),
        ("24GB", (GpuRequest(min_memory_gib=24),)),
        ("A100:80GB:2", (GpuRequest("A100", 80, 80, 2),)),
        (2, (GpuRequest(count=2),)),
        ("2", (GpuRequest(count=2),)),
        (0, ()),
        ("0", ()),
        (["T4", "24GB+"], (GpuRequest("T4"), GpuRequest(min_memory_gib=24))),
        ({"A100": 8}, (GpuRequest("A100", count=8),)),
    ],
)
def test_a_gpu_is_read_in_every_form(written, expected):
    assert expected == gpus(written)


@pytest.mark.parametrize(
    "written",
    ["", "T4:0", "T4:-1", "T4:9999", "T4:1:2", "T4:L4", "8:T4:8", True, -1, 2.5, [], {}, [0, "T4"], ["T4", True], "80GB..24GB",
     "T4; rm -rf", "0GB+", ":", "T4::2", "9" * 400, [["T4"]]],
)  # fmt: skip
def test_what_is_no_gpu_is_refused(written):
    with pytest.raises(ValidationError):
        gpus(written)


@pytest.mark.parametrize(
    ("key", "written", "low", "high"),
    [
        ("cpus", "4+", 4, None), ("cpus", 4, 4, None), ("cpus", "2..8", 2, 8), ("cpus", "..8", 0, 8),
        ("cpus", "0.5", 0.5, None),
        ("memory", "16GB+", 16, None), ("memory", 16, 16, None), ("memory", "16", 16, None), ("memory", "16GiB", 16, None),
        ("memory", "16GB..64GB", 16, 64), ("memory", "1TB", 1024, None), ("memory", "512MB", 0.5, None),
        ("disk", "100GB", 100, None), ("disk", "1TB", 1000, None), ("disk", 100, 100, None),
    ],
)  # fmt: skip
def test_an_amount_has_a_lower_and_an_upper_end(key, written, low, high):
    span = getattr(Resources.model_validate({key: written}), key)
    assert (low, high) == (span.minimum, span.maximum)


@pytest.mark.parametrize("key", ["cpus", "memory", "disk"])
@pytest.mark.parametrize(
    "written", [0, -1, "0", "-4", "8..2", True, float("nan"), float("inf"), 1e12, "many", "", "+", "..", [4], "4++"]
)
def test_no_amount_is_refused(key, written):
    with pytest.raises(ValidationError):
        Resources.model_validate({key: written})


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), (90, 90), ("45 s", 45), ("1d", 86400), ("1.5h", 5400)],
)
def test_a_duration_is_seconds(written, seconds):
    assert seconds == Budget.model_validate({"max_time": written}).max_time


@pytest.mark.parametrize("written", [0, -1, "0h", "2 hrs", "", "h", True, float("nan"), float("inf"), "99999d", [1]])
def test_no_duration_is_refused(written):
    with pytest.raises(ValidationError):
        Budget.model_validate({"max_time": written})


@pytest.mark.parametrize(
    ("written", "size"), [("1.1GB", 1.1e9), ("500 MB", 5e8), ("1GiB", 2**30), (1000, 1000), ("1_000", 1000)]
)
def test_a_data_size_is_decimal_bytes(written, size):
    assert size == Dataset.model_validate({"size": written}).size


@pytest.mark.parametrize("written", [0, -1, "0GB", "-1GB", "1 parsec", "_6GB", True, float("nan"), 1e30, "9" * 400 + "GB", {}])
def test_no_data_size_is_refused(written):
    with pytest.raises(ValidationError):
        Dataset.model_validate({"size": written})


@pytest.mark.parametrize("written", ["07:30", "7:30", "2026-11-22 07:30", "2026-11-22T07:30:00+01:00"])
def test_a_time_is_a_time_of_day_or_a_date_with_one(written):
    assert written == Budget.model_validate({"finish_by": written}).finish_by


@pytest.mark.parametrize(
    "written", ["", "soon", "25:00", "07:60", "2026-13-01 07:30", "2026-02-30 07:30", 730, "07:30 tomorrow"]
)
def test_no_time_is_refused(written):
    with pytest.raises(ValidationError):
        Budget.model_validate({"finish_by": written})


@pytest.mark.parametrize(
    "place", ["auto", "local", "cloud", "aws", "gcp", "aws/us-east-1", "gcp/europe-west4-a", "ssh:desk", "ssh:a.b-c"]
)
def test_a_place_is_known(place):
    assert place == JobConfig(run="x", where=place).where


@pytest.mark.parametrize(
    "place", ["", "mars", "aws/", "ssh:", "local/x", "ssh:-oProxyCommand=x", "aws/us east", "azure", "ssh:a b", "auto\n"]
)
def test_no_place_is_refused(place):
    with pytest.raises(ValidationError):
        JobConfig(run="x", where=place)


@pytest.mark.parametrize("name", ["a", "a-1", "0", "x" * 39])
def test_a_name_is_what_every_cloud_allows(name):
    assert name == JobConfig(run="x", name=name).name


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a;b", "a'b", "a\nb", "a\n", "x" * 40, "é", "a_b", "$(id)"])
def test_other_names_are_refused(name):
    with pytest.raises(ValidationError):
        JobConfig(run="x", name=name)


@pytest.mark.parametrize("number", [0, -1, True, "8", 2.5, float("nan"), float("inf"), 10**12, None, [8]])
def test_a_batch_is_a_whole_number_above_nothing(number):
    if number is None:
        assert Training(batch_size=None).batch_size is None
        return
    with pytest.raises(ValidationError):
        Training.model_validate({"batch_size": number})


def test_1e6_is_a_whole_number():
    assert 1_000_000 == Dataset.model_validate({"samples": 1e6}).samples


def test_environment_values_are_text_numbers_too():
    assert {"A": "4", "B": "x"} == JobConfig.model_validate({"run": "x", "env": {"A": 4, "B": "x"}}).env


@pytest.mark.parametrize(
    "env",
    [{"A": True}, {"A": None}, {"a b": "x"}, {"1A": "x"}, {"A=B": "x"}, {"A": "x\0y"}, {"": "x"}, {"A\n": "x"}, {"é": "x"}],
)
def test_no_environment_is_refused(env):
    with pytest.raises(ValidationError):
        JobConfig.model_validate({"run": "x", "env": env})


def test_one_text_is_a_list_of_one():
    job = JobConfig.model_validate({"run": "x", "outputs": "runs/", "secrets": "KEY", "notify": "desktop"})
    assert (("runs/",), ("KEY",), ("desktop",)) == (job.outputs, job.secrets, job.notify)


@pytest.mark.parametrize("run", ["", "  ", "\n", 3, None, "x" * 70_000])
def test_a_command_must_be_there(run):
    with pytest.raises(ValidationError):
        JobConfig.model_validate({"run": run})


def test_settings_never_change():
    with pytest.raises(ValidationError):
        JobConfig(run="x").run = "y"
