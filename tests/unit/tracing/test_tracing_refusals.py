from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.domain.traced import Traced, Untraceable
from dispatcher.tracing import trace
from dispatcher.tracing.subject import CannotTrace, one_input, stated_inputs
from dispatcher.tracing.tracing import parse

LINEAR = "import torch\ndef build():\n    return torch.nn.Linear(8, 2)\n"
GARBAGE = 'print(\'{"segments": [], "torch": "0"}\')\nimport atexit\natexit.register(lambda: print("{}"))\n'

torch_needed = pytest.mark.torch


@torch_needed
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def build():\n    raise RuntimeError('no such size: 3')", "it cannot be built: RuntimeError: no such size: 3"),
        ("import sys\ndef build():\n    sys.exit(3)", "it cannot be built: it ended the process with exit code 3"),
        ("import os\ndef build():\n    os._exit(4)", "its process ended without an answer (exit code 4)"),
        ("import os, signal\ndef build():\n    os.kill(os.getpid(), signal.SIGSEGV)", "its process died (SIGSEGV)"),
        ("import nothing_of_this_name\n", "there is no module nothing_of_this_name for net:build"),
        ("other = 1\n", "net has no build"),
        ("raise ValueError('bad settings')\n", "net cannot be imported: ValueError: bad settings"),
        ("def build():\n    return 7", "it returned int, not a torch.nn.Module"),
        ("def build(size):\n    return size", "it cannot be built: TypeError: build() missing 1 required positional argument"),
        ("def build():\n    return bytearray(2**36)", "it takes more memory than tracing allows (MemoryError)"),
    ],
)  # fmt: skip
def test_a_factory_that_fails_is_a_sentence(tracing, code: str, said: str) -> None:
    found = tracing(code, input=[8])
    assert isinstance(found, Untraceable)
    assert said in found.reason
    assert "\n" not in found.reason


@torch_needed
def test_a_factory_that_hangs_is_ended_with_all_it_started(tracing) -> None:
    code = "import subprocess, time\nsubprocess.Popen(['sleep', '600'])\ntime.sleep(600)\n"
    assert tracing(code, input=[8], timeout=4.0) == Untraceable("it took over 4 s")


@torch_needed
def test_a_factory_that_prints_what_looks_like_an_answer_is_not_believed(tracing) -> None:
    found = tracing(GARBAGE + LINEAR, input=[8])
    assert isinstance(found, Traced)
    assert found.parameters == 18


@torch_needed
@pytest.mark.parametrize("name", ["json", "torch", "types"])
def test_a_file_of_the_users_shadows_nothing_that_the_trace_stands_on(tracing, tmp_path: Path, name: str) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / f"{name}.py").write_text("raise RuntimeError('shadow')\n")
    assert isinstance(tracing(f"{LINEAR}# beside {name}.py", input=[8]), Traced)


@torch_needed
def test_an_input_of_the_wrong_shape_is_told_in_the_networks_words(tracing) -> None:
    found = tracing(LINEAR, input=[9])
    assert isinstance(found, Untraceable)
    assert "its forward pass fails" in found.reason
    assert "9" in found.reason


@torch_needed
def test_a_forward_pass_that_depends_on_values_is_told_so(tracing) -> None:
    code = (
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a = torch.nn.Linear(8, 8)\n    def forward(self, x):\n        y = self.a(x)\n"
        "        return y if y.sum() > 0 else self.a(y)\nbuild = Net\n"
    )
    found = tracing(code, input=[8])
    assert isinstance(found, Untraceable)
    assert "depends on the values of its data" in found.reason


@torch_needed
def test_weights_larger_than_the_machine_are_traced(tracing) -> None:
    found = tracing("import torch\ndef build():\n    return torch.nn.Linear(300_000, 300_000)\n", input=[300_000])
    assert isinstance(found, Traced)
    assert found.parameters == 300_000 * 300_001


@torch_needed
def test_a_network_that_asks_for_its_weights_values_while_it_is_built_is_built_for_real(tracing) -> None:
    code = (
        "import torch\ndef build():\n    rates = [x.item() for x in torch.linspace(0, 1, 3)]\n"
        "    return torch.nn.Linear(len(rates), 2)\n"
    )
    found = tracing(code, input=[3])
    assert isinstance(found, Traced)
    assert found.parameters == 8


def test_a_python_without_torch_is_named(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True)
    job = JobConfig.model_validate(
        {"run": "true", "model": {"factory": "net:build", "input": [8]}, "training": {"batch_size": 2}}
    )
    found = trace(job, tmp_path, {"PATH": "/usr/bin:/bin"})
    assert found == Untraceable(f"torch is not installed in {tmp_path}/.venv/bin/python")


@pytest.mark.parametrize(
    ("model", "training", "said"),
    [
        ({"name": "mixtral-8x7b", "sequence_length": 128}, {}, "which experts a token passes through depends on its values"),
        ({"name": "llama-3.1-8b", "sequence_length": 128}, {"method": "qlora"}, "bitsandbytes"),
        ({"factory": "net.build", "input": [8]}, {}, "write pkg.mod:build"),
        ({"factory": "net:build"}, {}, "the shape of one sample is not stated"),
        ({"factory": "net:build", "input": [0, 3]}, {}, "is not a shape"),
        ({"name": "resnet50", "family": "detection"}, {}, "cannot be rebuilt from its name"),
        ({"family": "transformer", "config": "missing.json", "sequence_length": 8}, {}, "missing.json cannot be read"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_starts(tmp_path: Path, model, training, said: str) -> None:
    job = JobConfig.model_validate({"run": "true", "model": model, "training": {"batch_size": 2, **training}})
    found = trace(job, tmp_path, {})
    assert isinstance(found, Untraceable)
    assert said in found.reason


@pytest.mark.parametrize(
    ("stated", "positional", "named"),
    [
        (128, [{"shape": [128]}], {}),
        ([3, 224, 224], [{"shape": [3, 224, 224]}], {}),
        ([128, "int64"], [{"shape": [128], "dtype": "int64"}], {}),
        ([[3, 8, 8], [5]], [{"shape": [3, 8, 8]}, {"shape": [5]}], {}),
        ({"ids": [128, "int64"], "x": {"shape": 4, "dtype": "float16"}}, [],
         {"ids": {"shape": [128], "dtype": "int64"}, "x": {"shape": [4], "dtype": "float16"}}),
    ],
)  # fmt: skip
def test_inputs_are_read_as_a_shape_several_shapes_or_shapes_by_name(stated, positional, named) -> None:
    assert stated_inputs(stated) == (positional, named)


@pytest.mark.parametrize(
    "stated", [[3, -1], [True], [2.5], "wide", [8, "int7"], {"shape": [8], "dtype": "int7"}, {"shape": "wide"}]
)
def test_what_is_no_shape_is_refused(stated) -> None:
    with pytest.raises(CannotTrace):
        one_input(stated)


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        (b"", 0, "its process ended without an answer (exit code 0)"),
        (b"half a {", 1, "its process ended without an answer (exit code 1)"),
        (b"[1, 2]", 0, "its process ended without an answer (exit code 0)"),
        (b"\xff\xfe", -9, "its process died (SIGKILL)"),
        (json.dumps({"refused": "no torch"}).encode(), 0, "no torch"),
    ],
)
def test_only_a_whole_answer_is_believed(output: bytes, code: int, said: str) -> None:
    assert parse(output, code) == {"refused": said}
