"""NVIDIA GPUs, from a constructed NVML that answers and fails as the real one does (nvml.h, nvidia-ml-py)."""

# ruff: noqa: N802 - NVML names its functions so

from __future__ import annotations

import os
from types import SimpleNamespace

import pynvml
import pytest

from dispatcher.hosts.probe import nvidia
from dispatcher.units import GIB
from tests.unit.hosts.probe.recorded import tree


class Card:
    """One GPU of the constructed NVML; an answer that is an NVML error code is raised."""

    def __init__(self, name="NVIDIA GeForce RTX 3050 Laptop GPU", total=4.0, free=3.5, **answers):
        self.name, self.total, self.free = name, total, free
        self.answers = answers

    def say(self, what, otherwise):
        answer = self.answers.get(what, otherwise)
        if isinstance(answer, Fails):
            raise pynvml.NVMLError(answer.code)
        return answer


class Fails:
    def __init__(self, code):
        self.code = code


class Nvml:
    """As much of NVML as is asked."""

    NVMLError = pynvml.NVMLError
    NVML_ERROR_NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
    NVML_ERROR_GPU_IS_LOST = pynvml.NVML_ERROR_GPU_IS_LOST
    NVML_ERROR_RESET_REQUIRED = pynvml.NVML_ERROR_RESET_REQUIRED

    def __init__(self, *cards, init=None, driver="550.54.14", cuda=12040):
        self.cards, self.init, self.driver, self.cuda = cards, init, driver, cuda
        self.open = False

    def nvmlInit(self):
        if self.init is not None:
            raise pynvml.NVMLError(self.init)
        self.open = True

    def nvmlShutdown(self):
        self.open = False

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlSystemGetCudaDriverVersion_v2(self):
        return self.cuda

    def nvmlDeviceGetCount(self):
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self.cards[index].say("handle", self.cards[index])

    def nvmlDeviceGetName(self, card):
        return card.name

    def nvmlDeviceGetUUID(self, card):
        return card.say("uuid", "GPU-1111")

    def nvmlDeviceGetMemoryInfo(self, card):
        return card.say("memory", SimpleNamespace(total=int(card.total * GIB), free=int(card.free * GIB)))

    def nvmlDeviceGetCudaComputeCapability(self, card):
        return card.say("capability", (8, 6))

    def nvmlDeviceGetComputeRunningProcesses(self, card):
        return [SimpleNamespace(pid=pid) for pid in card.say("pids", [])]

    def nvmlDeviceGetUtilizationRates(self, card):
        return SimpleNamespace(gpu=card.say("load", 25))

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card):
        return card.say("throttle", 0x1)

    def nvmlDeviceGetMigMode(self, card):
        return card.say("mig", (0, 0))

    def nvmlDeviceGetMaxMigDeviceCount(self, card):
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card, slot):
        parts = card.answers["parts"]
        if slot >= len(parts):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return parts[slot]


def look(nvml, **environ):
    return nvidia.survey(nvml, environ)


def test_a_laptops_gpu_with_what_is_free_on_it():
    (gpu,), notes = look(Nvml(Card()))
    assert ("NVIDIA GeForce RTX 3050 Laptop GPU", 4.0, 3.5, 8.6) == (
        gpu.name,
        gpu.total_gib,
        gpu.free_gib,
        gpu.compute_capability,
    )
    assert ("550.54.14", "12.4", 0.25, "", False) == (gpu.driver, gpu.cuda, gpu.utilisation, gpu.throttled, gpu.unified)
    assert () == notes


def test_the_library_is_let_go_of():
    nvml = Nvml(Card())
    look(nvml)
    assert not nvml.open


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_GPU_NOT_FOUND])
def test_no_library_and_no_gpu_are_nothing_to_speak_of(code):
    assert ((), ()) == look(Nvml(init=code))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "updated and not restarted"),
        (pynvml.NVML_ERROR_UNKNOWN, "Unknown Error"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "does not let this user"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "not loaded"),
        (pynvml.NVML_ERROR_TIMEOUT, "Timeout"),
    ],
)
def test_a_driver_that_cannot_be_asked_is_noted_in_words(code, words):
    gpus, (note,) = look(Nvml(init=code))
    assert () == gpus
    assert words in note


def test_every_fault_has_a_fix_that_is_found_by_its_note():
    for fault in nvidia.FAULTS.values():
        assert fault.fix == nvidia.fix_for(f"GPU 1: {fault.message}")
    assert "" == nvidia.fix_for("something else")


def test_a_lost_gpu_is_noted_and_the_other_one_kept():
    gpus, (note,) = look(Nvml(Card(handle=Fails(pynvml.NVML_ERROR_GPU_IS_LOST)), Card(name="NVIDIA L4")))
    assert ["NVIDIA L4"] == [gpu.name for gpu in gpus]
    assert note.startswith("GPU 0: ")


def test_a_gpu_lost_while_it_is_read_is_noted_too():
    gpus, (note,) = look(Nvml(Card(load=Fails(pynvml.NVML_ERROR_GPU_IS_LOST))))
    assert () == gpus
    assert "fallen off the bus" in note


def test_what_an_old_gpu_does_not_support_is_left_out():
    no = Fails(pynvml.NVML_ERROR_NOT_SUPPORTED)
    (gpu,), notes = look(Nvml(Card(load=no, throttle=no, mig=no, pids=no, capability=no)))
    assert (0.0, "", 0, 0.0) == (gpu.utilisation, gpu.throttled, gpu.other_processes, gpu.compute_capability)
    assert () == notes


def test_a_chip_that_shares_the_hosts_memory_says_so():
    (gpu,), _ = look(Nvml(Card(name="NVIDIA GB10", memory=Fails(pynvml.NVML_ERROR_NOT_SUPPORTED))))
    assert gpu.unified
    assert 0.0 == gpu.total_gib


def test_a_divided_gpu_is_its_parts():
    parts = [Card(name="NVIDIA A100 80GB PCIe MIG 1g.10gb", total=9.5, free=9.4, uuid=f"MIG-{n}") for n in range(2)]
    gpus, _ = look(Nvml(Card(name="NVIDIA A100 80GB PCIe", total=80, mig=(1, 1), parts=parts)))
    assert [9.5, 9.5] == [gpu.total_gib for gpu in gpus]


def test_own_processes_are_not_other_peoples():
    (gpu,), _ = look(Nvml(Card(pids=[os.getpid(), os.getpid()])))
    assert 0 == gpu.other_processes


def test_a_process_that_cannot_be_seen_is_somebody_elses(tmp_path):
    tree(tmp_path, {"10/stat": ""})
    mine = tmp_path.stat().st_uid
    assert 1 == nvidia.strangers([10, 11], mine, tmp_path)
    assert 2 == nvidia.strangers([10, 11], mine + 1, tmp_path)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, ""),
        (0x1, ""),
        (0x2, ""),
        (0x4, "power limit"),
        (0x60, "heat"),
        (0x48, "heat, hardware slowdown"),
        (0x80, "power brake"),
    ],
)
def test_only_what_slows_a_job_down_is_told_of_the_clocks(bits, words):
    assert words == nvidia.throttle_words(bits)


@pytest.mark.parametrize(
    ("setting", "seen"),
    [(None, [0, 1]), ("", []), ("-1", []), ("1", [1]), ("0,1", [0, 1]), ("1,-1,0", [1]), ("GPU-bb", [1]), ("NoDevFiles", [])],
)
def test_cuda_visible_devices_hides_gpus_from_jobs(setting, seen):
    environ = {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting}
    gpus, notes = look(Nvml(Card(uuid="GPU-aa11"), Card(uuid="GPU-bb22")), **environ)
    assert seen == [gpu.index for gpu in gpus]
    assert len(seen) == 2 or "CUDA_VISIBLE_DEVICES hides" in notes[0]


def test_bytes_of_older_bindings_are_read():
    (gpu,), _ = look(Nvml(Card(name=b"Tesla K80"), driver=b"470.57.02"))
    assert ("Tesla K80", "470.57.02") == (gpu.name, gpu.driver)


@pytest.mark.parametrize(("number", "text"), [(12080, "12.8"), (11040, "11.4"), (13000, "13.0"), (0, "")])
def test_cuda_versions(number, text):
    assert text == nvidia.cuda_version(number)


def test_a_computer_without_traces_of_a_driver_is_not_asked(tmp_path):
    assert not nvidia.present(tmp_path)
    assert nvidia.present(tree(tmp_path, {"usr/lib/wsl/lib/libnvidia-ml.so.1": ""}))


def test_the_real_binding_is_asked_and_a_computer_without_a_driver_is_quiet(monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlInit", Nvml(init=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND).nvmlInit)
    assert ((), ()) == nvidia.nvidia_gpus({})


def test_the_real_binding_has_every_function_that_is_asked():
    asked = [name for name in vars(Nvml) if name.startswith("nvml")]
    assert [] == [name for name in asked if not hasattr(pynvml, name)]


def test_a_driver_that_breaks_after_it_was_opened_is_noted_and_let_go_of():
    nvml = Nvml(Card())
    nvml.nvmlDeviceGetCount = lambda: nvml.cards[0].say("count", None) or _raise(pynvml.NVML_ERROR_UNKNOWN)
    gpus, (note,) = look(nvml)
    assert ((), False) == (gpus, nvml.open)
    assert "Unknown Error" in note


def test_memory_that_cannot_be_read_is_a_fault_and_not_shared_memory():
    gpus, notes = look(Nvml(Card(memory=Fails(pynvml.NVML_ERROR_UNKNOWN))))
    assert ((), 1) == (gpus, len(notes))


def _raise(code):
    raise pynvml.NVMLError(code)
