"""What a torch was built for, read from its files."""

from __future__ import annotations

import pytest

from dispatcher.doctor.installed import TorchBuild, torch_build, unsuited
from dispatcher.domain.hardware import Gpu, Machine

VERSION = """from typing import Optional

__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip']
__version__ = '{version}'
debug = False
cuda: Optional[str] = {cuda}
git_version = 'abc'
hip: Optional[str] = {hip}
"""


def machine(*gpus: Gpu) -> Machine:
    return Machine("h", "Linux", "x86_64", "cpu", 4, 8, 8, 16.0, 8.0, gpus=gpus)


def installed(tmp_path, **said):
    folder = tmp_path / "lib" / "python3.11" / "site-packages" / "torch"
    folder.mkdir(parents=True)
    (folder / "version.py").write_text(VERSION.format(**said))
    return torch_build(tmp_path)


def test_a_cuda_build(tmp_path):
    assert TorchBuild("2.9.0+cu128", "12.8") == installed(tmp_path, version="2.9.0+cu128", cuda="'12.8'", hip="None")


def test_a_cpu_build(tmp_path):
    assert TorchBuild("2.13.0+cpu") == installed(tmp_path, version="2.13.0+cpu", cuda="None", hip="None")


def test_no_torch_at_all(tmp_path):
    assert torch_build(tmp_path) is None


@pytest.mark.parametrize(
    ("build", "gpu", "word"),
    [
        (TorchBuild("2.9+cpu"), Gpu(0, "RTX 3050", 4, 4, driver="570.1"), "without CUDA"),
        (TorchBuild("2.9", "12.8"), Gpu(0, "RTX 3050", 4, 4, driver="450.80.02"), "too new for driver"),
        (TorchBuild("2.5", "12.1"), Gpu(0, "RTX 5090", 32, 32, driver="580.1", compute_capability=12.0), "CUDA 12.8 or newer"),
        (TorchBuild("1.13", "11.6"), Gpu(0, "H100", 80, 80, driver="580.1", compute_capability=9.0), "CUDA 11.8 or newer"),
        (TorchBuild("2.9", "13.0"), Gpu(0, "V100", 16, 16, driver="580.65.06", compute_capability=7.0), "has dropped the V100"),
        (TorchBuild("2.9", "12.8"), Gpu(0, "RX 7900", 20, 20, vendor="AMD"), "not built for ROCm"),
    ],
)
def test_a_torch_that_will_not_use_the_gpu_is_told(build, gpu, word):
    (said,) = unsuited(build, machine(gpu))
    assert word in said


@pytest.mark.parametrize("build", [TorchBuild("2.9", "12.8"), None])
def test_a_torch_that_fits_is_not_spoken_of(build):
    assert () == unsuited(build, machine(Gpu(0, "RTX 3050", 4, 4, driver="570.124.06", compute_capability=8.6)))


def test_without_a_gpu_any_torch_will_do():
    assert () == unsuited(TorchBuild("2.9+cpu"), machine())
