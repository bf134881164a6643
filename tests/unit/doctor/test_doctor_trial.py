"""The little program that the job's Python runs to tell of its torch; torch itself is stood in for."""

from __future__ import annotations

import sys
import warnings
from types import ModuleType, SimpleNamespace

from dispatcher.doctor import torch_trial


def stand_in(monkeypatch, *, cuda=None, hip=None, available=False, archs=(), mps=None, warning=""):
    def is_available():
        if warning:
            warnings.warn(warning, UserWarning, stacklevel=1)
        return available

    torch = ModuleType("torch")
    torch.__version__ = "2.6.0"
    torch.version = SimpleNamespace(cuda=cuda, hip=hip)
    torch.cuda = SimpleNamespace(is_available=is_available, get_arch_list=lambda: list(archs))
    torch.backends = SimpleNamespace() if mps is None else SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps))
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch_trial.facts()


def test_a_cuda_build_tells_its_architectures(monkeypatch):
    found = stand_in(monkeypatch, cuda="12.4", available=True, archs=["sm_86"])
    assert ("2.6.0", "12.4", "", ["sm_86"], True) == tuple(found[key] for key in ("torch", "cuda", "hip", "archs", "available"))


def test_a_build_without_cuda_is_told_without_a_word_more(monkeypatch):
    found = stand_in(monkeypatch)
    assert ("", [], False, False, "") == tuple(found[key] for key in ("cuda", "archs", "available", "mps", "said"))


def test_what_torch_warns_of_is_kept_to_its_first_line(monkeypatch):
    found = stand_in(monkeypatch, cuda="12.4", warning="The NVIDIA driver on your system is too old\nPlease update")
    assert "The NVIDIA driver on your system is too old" == found["said"]


def test_rocm_and_mps_builds(monkeypatch):
    assert "6.2" == stand_in(monkeypatch, hip="6.2")["hip"]
    assert stand_in(monkeypatch, mps=True)["mps"]


def test_a_python_without_torch(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    found = torch_trial.facts()
    assert ("", None) == (found["torch"], found.get("broken"))


def test_a_torch_that_raises_nothing_but_its_type(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemError()")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "SystemError" == torch_trial.facts()["broken"]
