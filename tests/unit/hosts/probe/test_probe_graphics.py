"""AMD, integrated and Apple graphics."""

from __future__ import annotations

import pytest

from dispatcher.hosts.probe import amd, apple, integrated
from dispatcher.hosts.probe.integrated import Graphics
from tests.unit.hosts.probe.recorded import recorded, tree


def program(folder, name, text, code=0):
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_rocm_smi_tells_name_and_free_memory():
    (gpu,) = amd.parse_rocm_smi(recorded("rocm-smi-7900xt.json"))
    assert ("Radeon RX 7900 XT", "AMD", 0.0) == (gpu.name, gpu.vendor, gpu.utilisation)
    assert gpu.total_gib == pytest.approx(19.98, abs=0.01)
    assert gpu.total_gib - gpu.free_gib == pytest.approx(0.026, abs=0.001)


def test_rocm_smi_may_warn_before_it_answers_and_integrated_graphics_are_no_gpu():
    kept, (note,) = amd.discrete(amd.parse_rocm_smi(recorded("rocm-smi-6800-and-igpu.json")))
    assert ["Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]"] == [gpu.name for gpu in kept]
    assert note.startswith("Raphael is integrated")


def test_amd_smi_joins_names_and_memory_and_skips_what_answers_na():
    (gpu,) = amd.parse_amd_smi(recorded("amd-smi-static.json"), recorded("amd-smi-metric.json"))
    assert ("AMD Radeon RX 7900 XT", 0.42) == (gpu.name, gpu.utilisation)
    assert (19.98, 19.53) == (round(gpu.total_gib, 2), round(gpu.free_gib, 2))


def test_amd_smis_older_form_is_a_list():
    (gpu,) = amd.parse_amd_smi("[]", recorded("amd-smi-metric-list.json"))
    assert ("AMD GPU", 14.0) == (gpu.name, round(gpu.free_gib, 1))


def test_both_tools_agree_on_the_same_card():
    by_rocm = amd.parse_rocm_smi(recorded("rocm-smi-7900xt.json"))[0]
    by_amd = amd.parse_amd_smi(recorded("amd-smi-static.json"), recorded("amd-smi-metric.json"))[0]
    assert by_rocm.total_gib == pytest.approx(by_amd.total_gib, rel=1e-3)


def test_without_amds_tools_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ((), ()) == amd.amd_gpus()


def test_rocm_smi_is_asked_where_amd_smi_breaks(monkeypatch, tmp_path):
    program(tmp_path, "amd-smi", "no driver", code=3)
    program(tmp_path, "rocm-smi", recorded("rocm-smi-7900xt.json"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gpus, _ = amd.amd_gpus()
    assert ["Radeon RX 7900 XT"] == [gpu.name for gpu in gpus]


def test_tools_that_break_are_noted(monkeypatch, tmp_path):
    program(tmp_path, "rocm-smi", "not json")
    program(tmp_path, "amd-smi", "", code=255)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gpus, notes = amd.amd_gpus()
    assert ((), 2) == (gpus, len(notes))
    assert "amd-smi failed (255)" in notes[0]


def test_lspci_lists_display_controllers_only():
    found = integrated.parse_lspci(recorded("lspci-laptop.txt"))
    assert [
        Graphics("00:02.0", "Intel", "Intel Corporation TigerLake-LP GT2 [Iris Xe Graphics]", shared=True),
        Graphics("01:00.0", "NVIDIA", "NVIDIA Corporation GA107M [GeForce RTX 3050 Mobile]"),
    ] == list(found)


def pci(root, slot, vendor, kind="0x030000", driver="", **extra):
    base = f"sys/bus/pci/devices/{slot}"
    tree(root, {f"{base}/vendor": vendor, f"{base}/class": kind, **{f"{base}/{name}": text for name, text in extra.items()}})
    if driver:
        (root / "sys/bus/pci/drivers" / driver).mkdir(parents=True)
        (root / base / "driver").symlink_to(root / "sys/bus/pci/drivers" / driver)


def test_sysfs_tells_integrated_from_discrete(tmp_path):
    pci(tmp_path, "0000:00:02.0", "0x8086", driver="i915")
    pci(tmp_path, "0000:03:00.0", "0x8086", driver="xe")
    pci(tmp_path, "0000:04:00.0", "0x1002", mem_info_vram_total=str(512 * 2**20))
    pci(tmp_path, "0000:05:00.0", "0x1002", mem_info_vram_total=str(16 * 2**30))
    pci(tmp_path, "0000:06:00.0", "0x8086", kind="0x010802")
    found = integrated.graphics(tmp_path)
    assert [("Intel", True), ("Intel", False), ("AMD", True), ("AMD", False)] == [(one.vendor, one.shared) for one in found]
    assert "i915" == found[0].driver


def test_a_computer_without_pci_has_no_graphics(tmp_path):
    assert () == integrated.graphics(tmp_path)


@pytest.mark.parametrize(
    ("one", "reported", "words"),
    [
        (Graphics("00:02.0", "Intel", shared=True), [], "one budget"),
        (Graphics("01:00.0", "NVIDIA"), [], "no driver is loaded"),
        (Graphics("01:00.0", "NVIDIA", driver="nouveau"), [], "nouveau"),
        (Graphics("01:00.0", "NVIDIA", driver="nvidia"), [], "does not answer"),
        (Graphics("03:00.0", "AMD"), ["NVIDIA"], "ROCm's tools"),
        (Graphics("03:00.0", "Intel"), [], "not planned for yet"),
    ],
)
def test_graphics_that_no_driver_reports_are_noted(one, reported, words):
    (note,) = integrated.notes_on([one], reported)
    assert words in note


def test_gpus_that_are_reported_need_no_note():
    assert () == integrated.notes_on([Graphics("01:00.0", "NVIDIA"), Graphics("03:00.0", "AMD")], ["NVIDIA", "AMD"])


@pytest.mark.parametrize(
    ("ram", "limit", "budget"),
    [
        (8, 0, 5.33),
        (16, 0, 10.67),
        (32, 0, 21.33),
        (36, 0, 24.0),
        (48, 0, 36.0),
        (64, 0, 48.0),
        (24, 20480, 20.0),
        (8, 99999, 8.0),
    ],
)
def test_metals_budget_is_not_all_of_ram(ram, limit, budget):
    assert budget == pytest.approx(apple.working_set_gib(ram, limit), abs=0.01)


def test_llama_cpps_logged_working_sets_are_met():
    assert 10922.67 == pytest.approx(1024 * apple.working_set_gib(16), abs=0.01)
    assert 21845.34 == pytest.approx(1024 * apple.working_set_gib(32), abs=0.01)
    assert 49152.00 == pytest.approx(1024 * apple.working_set_gib(64), abs=0.01)


def test_an_m1_pros_gpu_is_bounded_by_free_ram():
    gpu = apple.apple_gpu(apple.parse_sysctl(recorded("sysctl-m1-pro.txt")), 12.0)
    assert gpu is not None
    assert ("Apple M1 Pro", 12.0, True, "Apple") == (gpu.name, gpu.free_gib, gpu.unified, gpu.vendor)
    assert gpu.total_gib == pytest.approx(21.33, abs=0.01)


def test_a_raised_limit_counts_and_an_air_has_no_fan():
    values = apple.parse_sysctl(recorded("sysctl-air-m2-raised.txt"))
    gpu = apple.apple_gpu(values, 30.0)
    assert gpu is not None
    assert (20.0, 20.0) == (gpu.total_gib, gpu.free_gib)
    assert apple.is_fanless(values["hw.model"])
    assert not apple.is_fanless("MacBookPro18,3")


def test_an_intel_mac_has_no_apple_gpu():
    values = apple.parse_sysctl(recorded("sysctl-intel-mac.txt"))
    assert apple.apple_gpu(values, 20.0) is None
    assert ("", 0) == apple.parse_displays(recorded("displays-intel-mac.json"))


def test_system_profiler_tells_the_gpus_cores():
    assert ("Apple M1", 7) == apple.parse_displays(recorded("displays-m1.json"))


def test_an_answer_that_is_no_object_is_refused():
    with pytest.raises(ValueError, match="not an object"):
        amd.parse_rocm_smi("[\n1]")
