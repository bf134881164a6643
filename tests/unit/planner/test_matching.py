"""Whether an offer is one the user would take."""

from __future__ import annotations

import pytest

from dispatcher.domain.plan import GpuRequest
from dispatcher.planner.matching import accepts, same_name, unwanted
from tests.unit.planner.things import job, offer, own

ONE = frozenset({1})


def why_not(one, config, **changes):
    return unwanted(one, config, **{"cpu_work": False, "counts": ONE, **changes})


@pytest.mark.parametrize(
    ("asked", "offered", "same"),
    [
        ("A100", "A100-80GB", True),
        ("a100-80gb", "A100-80GB", True),
        ("A100-40GB", "A100-80GB", False),
        ("T4", "T4", True),
        ("T4", "T4G", False),
        ("L4", "L40S", False),
        ("RTX 3090", "RTX-3090", True),
        ("RTX4090", "RTX-4090", True),
        ("RTX409", "RTX-4090", False),
        ("A10080GB", "A100-80GB", True),
        ("NVIDIA V100", "V100-16GB", True),
    ],
)
def test_names_match_by_their_words(asked, offered, same):
    assert same == same_name(asked, offered)


@pytest.mark.parametrize(
    ("request_", "yes"),
    [
        (GpuRequest(min_memory_gib=16), True),
        (GpuRequest(min_memory_gib=24), False),
        (GpuRequest(max_memory_gib=8), False),
        (GpuRequest(name="T4", count=2), False),
        (GpuRequest(name="T4", min_memory_gib=16, max_memory_gib=16), True),
    ],
)
def test_a_request_is_a_name_a_span_of_memory_and_a_count(request_, yes):
    assert yes == accepts(request_, offer())


def test_a_24_gb_request_takes_a_card_that_reports_a_little_less():
    assert accepts(GpuRequest(min_memory_gib=24), offer(device="A10G", device_memory_gib=22.4))


def test_resources_gpu_excludes_others():
    assert "not among resources.gpu" == why_not(offer(), job(resources={"gpu": "A100"}))


def test_work_that_a_gpu_does_not_help_rents_none():
    assert "a GPU would not help this work" == why_not(offer(), job(), cpu_work=True)


def test_a_job_as_written_uses_one_gpu():
    assert why_not(offer(count=4), job()) == "4 GPUs; the job as written uses 1"


def test_where_limits_to_a_cloud_or_its_region():
    assert why_not(offer(), job(where="gcp"))
    assert why_not(offer(), job(where="aws/eu-west-1"))
    assert why_not(offer(), job(where="aws/us-east-1")) is None


def test_cloud_excludes_owned_machines():
    assert "not a cloud" == why_not(own(), job(where="cloud"))


def test_resources_are_no_limits_on_this_machine():
    assert why_not(own(), job(resources={"memory": "64GB+", "cpus": "64+"})) is None


def test_resources_are_limits_on_rented_machines():
    assert "16 GiB RAM; resources.memory asks for 64 or more" == why_not(offer(), job(resources={"memory": "64GB+"}))
    assert "4 CPUs; resources.cpus asks for 8 or more" == why_not(offer(), job(resources={"cpus": "8+"}))


def test_memory_is_compared_as_nameplates_are():
    assert why_not(offer(ram_gib=15.5), job(resources={"memory": "16GB+"})) is None


def test_arm_machines_are_left_out_with_the_reason():
    assert "arm64" in why_not(offer(arch="arm64"), job())
