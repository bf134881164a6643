"""From names, offers and this computer to devices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher import catalog
from dispatcher.domain.hardware import Gpu, Machine
from dispatcher.domain.plan import GpuRequest
from dispatcher.errors import UsageError
from dispatcher.planner import devices

DESKTOP = Machine("h", "Linux", "x86_64", "Intel(R) Core(TM) i7-12700H", 14, 20, 20, 32.0, 24.0)


def test_a_named_accelerator_with_its_number():
    device = devices.named("A100-80GB:8")
    assert ("cuda", "A100-80GB", 8, 80.0) == (device.kind, device.name, device.count, device.memory_gib)


def test_a_named_processor_is_a_device_too():
    assert "cpu" == devices.named("Core-i7-12700H").kind


def test_an_apple_chip_shares_its_memory():
    device = devices.named("M1-Max")
    assert "mps" == device.kind
    assert device.accelerator.unified


def test_an_unknown_name_is_told_with_what_is_near():
    with pytest.raises(UsageError) as caught:
        devices.named("RTX-3091")
    assert "RTX-3090" in caught.value.fix


def test_a_rented_machine_has_its_clouds_host():
    device = devices.rented(catalog.find_instance("aws", "g4dn.xlarge"))
    assert ("T4", 1) == (device.name, device.count)
    assert 16.0 == device.ram_gib


def test_this_computers_gpu_is_what_its_driver_reports():
    device = devices.here(replace(DESKTOP, gpus=(Gpu(0, "NVIDIA GeForce RTX 3050 Laptop GPU", 4.0, 3.6),)))
    assert ("cuda", 4.0) == (device.kind, device.memory_gib)


def test_a_slice_of_a_gpu_is_planned_with_its_own_memory():
    device = devices.here(replace(DESKTOP, gpus=(Gpu(0, "NVIDIA A100-SXM4-80GB MIG 1g.10gb", 9.75, 9.7),)))
    assert 9.75 == device.memory_gib
    assert "A100-80GB" == device.name


def test_without_a_known_gpu_the_processor_does_the_work():
    assert "cpu" == devices.here(replace(DESKTOP, gpus=(Gpu(0, "Somebody's GPU", 8.0, 8.0),))).kind


def test_a_container_of_half_the_threads_has_half_the_speed():
    whole, half = devices.own_cpu(DESKTOP), devices.own_cpu(replace(DESKTOP, cpus=10))
    assert 0.5 == pytest.approx(half.gflops / whole.gflops)


def test_a_measured_rate_is_the_share_that_products_reach_of_the_peak():
    cpu = devices.own_cpu(replace(DESKTOP, cpu_gflops=800.0, cpu_basis="measured"))
    assert 1000.0 == pytest.approx(cpu.gflops)
    assert "measured here" == cpu.source


def test_a_trial_on_a_busy_computer_does_not_halve_it_again():
    computed = devices.own_cpu(DESKTOP).gflops
    assert 0.5 * computed == pytest.approx(devices.own_cpu(replace(DESKTOP, cpu_gflops=1.0, cpu_basis="measured")).gflops)


@pytest.mark.parametrize("text", ["H100:0", "H100:x", "H100:-1", "H100:", "", ":2", "H100:²", "H100:1e3"])
def test_a_device_that_is_not_so_many_of_a_name_is_told_the_form(text):
    with pytest.raises(UsageError) as caught:
        devices.named(text)
    assert "A100-80GB:8" in caught.value.fix


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (GpuRequest("H1000"), "H100"),
        (GpuRequest("RTX-3090"), "no machine type of AWS or GCP"),
        (GpuRequest("T4", count=3), "no machine type has 3 × T4, but 1, 2, 4"),
    ],
)
def test_a_gpu_that_cannot_be_had_is_told(request_, said):
    (told,) = devices.doubtful([request_])
    assert said in told


def test_a_gpu_that_can_be_had_is_no_matter():
    assert not list(devices.doubtful([GpuRequest("A100"), GpuRequest("l4"), GpuRequest(min_memory_gib=24)]))
