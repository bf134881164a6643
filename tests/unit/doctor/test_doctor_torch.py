"""Whether the job's torch fits the GPU, from constructed builds and drivers, and from the real torch where it is."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dispatcher.doctor import drivers
from dispatcher.doctor.torch import TorchFacts, ask, parse, supports, torch_checks
from tests.unit.doctor.facts import ENV, M1, RADEON, RTX, laptop

CUDA = TorchFacts("3.12.4", "x86_64", "2.6.0+cu124", cuda="12.4", archs=("sm_50", "sm_80", "sm_86", "sm_90"), available=True)
CPU_ONLY = TorchFacts("3.12.4", "x86_64", "2.6.0+cpu")


def told(torch, *gpus):
    return [one for one in torch_checks(ENV, torch, laptop(*gpus)) if one.name == "torch"]


def only(torch, *gpus):
    (one,) = told(torch, *gpus)
    return one


def test_a_build_that_fits_is_ok():
    one = only(CUDA, RTX)
    assert ("ok", "torch 2.6.0+cu124 for CUDA 12.4.", "") == (one.level, one.message, one.fix)


def test_a_build_without_cuda_leaves_an_nvidia_gpu_idle():
    one = only(CPU_ONLY, RTX)
    assert "warning" == one.level
    assert "will not use the NVIDIA GeForce RTX 3050" in one.message
    assert "CUDA 12.9" in one.fix


def test_a_build_without_cuda_fits_a_computer_without_a_gpu():
    assert "ok" == only(CPU_ONLY).level


def test_a_build_whose_cuda_the_driver_cannot_run():
    old = replace(RTX, driver="470.57.02", cuda="11.4")
    one = only(replace(CUDA, available=False), old)
    assert ("error", True) == (one.level, "too new for driver 470.57.02" in one.message)
    assert "525.60.13" in one.fix
    assert "CUDA 11.8" in one.fix


def test_a_newer_minor_version_runs_on_the_same_majors_driver():
    assert "ok" == only(replace(CUDA, cuda="12.8"), replace(RTX, driver="535.104.05")).level


def test_cuda_13_needs_a_580_driver():
    one = only(replace(CUDA, cuda="13.0"), replace(RTX, driver="575.64.03"))
    assert ("error", True) == (one.level, "580.65.06" in one.fix)


def test_a_gpu_too_old_for_the_builds_architectures():
    pascal = replace(RTX, name="GeForce GTX 1060", compute_capability=6.1)
    one = only(replace(CUDA, archs=("sm_75", "sm_80", "sm_86", "sm_90")), pascal)
    assert ("error", True) == (one.level, "no code for the GeForce GTX 1060" in one.message)
    assert one.fix.startswith("install an older torch")


def test_a_gpu_too_new_for_the_builds_architectures():
    one = only(CUDA, replace(RTX, name="GeForce RTX 5090", compute_capability=12.0))
    assert ("error", True) == (one.level, one.fix.startswith("install a newer torch"))


def test_each_of_two_gpus_is_looked_at():
    found = told(CUDA, RTX, replace(RTX, index=1, name="Tesla K80", compute_capability=3.7))
    assert ["no code for the Tesla K80" in one.message for one in found] == [True]


def test_a_fitting_build_that_still_does_not_reach_the_gpu_tells_what_torch_says():
    one = only(replace(CUDA, available=False, archs=(), said="CUDA unknown error"), RTX)
    assert ("error", True) == (one.level, "It says: CUDA unknown error" in one.message)


def test_an_amd_gpu_wants_a_rocm_build():
    assert ("warning", True) == (only(CUDA, RADEON).level, "not built for ROCm" in only(CUDA, RADEON).message)
    assert "torch 2.6 for ROCm 6.2." == only(TorchFacts(torch="2.6", hip="6.2", available=True), RADEON).message


def test_apple_silicon_wants_mps():
    fine = TorchFacts("3.12", "arm64", "2.6.0", mps=True)
    assert "torch 2.6.0, with MPS." == only(fine, M1).message
    assert "does not offer MPS" in only(replace(fine, mps=False), M1).message


def test_a_translated_python_on_apple_silicon_is_named():
    one = only(TorchFacts("3.12", "x86_64", "2.2.2"), M1)
    assert "runs translated" in one.message
    assert "arm64" in one.fix


def test_no_torch_is_only_a_note():
    assert "note" == only(TorchFacts("3.12.4"), RTX).level


def test_a_torch_that_cannot_be_imported_is_an_error_with_its_words():
    one = only(TorchFacts(broken="libcudart.so.12: cannot open shared object file"), RTX)
    assert ("error", True) == (one.level, "libcudart.so.12" in one.message)


def test_no_python_at_all():
    (one,) = torch_checks(None, TorchFacts(), laptop())
    assert ("python", "warning", "python3 -m venv .venv") == (one.name, one.level, one.fix)


def test_the_jobs_python_is_told_with_how_it_was_found():
    first = next(iter(torch_checks(ENV, CUDA, laptop(RTX))))
    assert "Jobs get /project/.venv/bin/python (the folder's .venv), Python 3.12.4." == first.message


@pytest.mark.parametrize(
    ("archs", "capability", "able"),
    [
        (["sm_80", "sm_86"], 8.6, True),
        (["sm_80"], 8.9, True),
        (["sm_86"], 8.0, False),
        (["sm_90"], 12.0, False),
        (["compute_90"], 12.0, True),
        (["compute_90"], 8.6, False),
        (["sm_90a"], 9.0, True),
        (["sm_100a"], 10.3, False),
        (["sm_120"], 12.0, True),
        (["gfx1100"], 8.6, None),
        ([], 8.6, None),
        (["sm_80"], 0.0, None),
    ],
)
def test_what_a_builds_architectures_run_on(archs, capability, able):
    assert able is supports(archs, capability)


@pytest.mark.parametrize(
    ("driver", "cuda", "able"),
    [
        ("550.54.14", "12.4", True),
        ("525.60.13", "12.9", True),
        ("525.60.11", "12.0", False),
        ("470.82.01", "11.8", True),
        ("580.65.06", "13.2", True),
        ("", "12.4", None),
        ("550.1", "99.0", None),
        ("550.1", "", None),
    ],
)
def test_which_driver_runs_which_cuda(driver, cuda, able):
    assert able is drivers.runs(driver, cuda)


def test_the_table_never_asks_more_of_a_driver_to_run_than_to_have_all():
    for row in drivers.cuda_table():
        assert drivers.version(row.driver_any) <= drivers.version(row.driver_full)


@pytest.mark.parametrize(
    ("driver", "cuda"), [("470.57.02", "11.8"), ("550.54.14", "12.9"), ("580.65.06", "13.0"), ("390.1", "")]
)
def test_the_newest_cuda_a_driver_runs(driver, cuda):
    assert cuda == drivers.newest_for(driver)


def test_libraries_may_print_before_the_answer():
    found = parse("Welcome to my sitecustomize\n" + json.dumps({"torch": "2.6", "archs": ["sm_80"], "unknown": 1}), 0)
    assert TorchFacts(torch="2.6", archs=("sm_80",)) == found


@pytest.mark.parametrize(("output", "code", "words"), [("", -11, "signal 11"), ("", 1, "no answer"), ("[1]", 0, "no answer")])
def test_an_import_that_dies_says_so(output, code, words):
    assert words in parse(output, code).broken


def python(folder, script):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_an_import_that_hangs_is_not_waited_for(tmp_path):
    assert "took over 0 s" in ask(python(tmp_path, "exec sleep 20"), timeout=0.2).broken


def test_a_python_that_does_not_start_says_so(tmp_path):
    assert "does not start" in ask(tmp_path / "missing").broken


def test_a_python_without_torch_answers_so(tmp_path):
    found = ask(python(tmp_path, f'exec {sys.executable} -I -S "$@"'))
    assert ("", "") == (found.torch, found.broken)
    assert found.python.startswith("3.")


def test_a_torch_that_raises_on_import_is_told_in_its_words(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcublas.so.12: cannot open shared object file')")
    found = ask(python(tmp_path, f'PYTHONPATH={tmp_path} exec {sys.executable} "$@"'))
    assert "libcublas.so.12: cannot open shared object file" == found.broken


def test_a_torch_whose_own_dependency_is_missing_is_broken_and_not_absent(tmp_path):
    (tmp_path / "torch.py").write_text("import no_such_dependency")
    found = ask(python(tmp_path, f'PYTHONPATH={tmp_path} exec {sys.executable} "$@"'))
    assert "no_such_dependency" in found.broken


@pytest.mark.torch
def test_the_real_torch_answers():
    found = ask(Path(sys.executable))
    assert "" == found.broken
    assert found.torch
