"""Published training speeds that no constant was fitted to: how far off the planner is."""

from __future__ import annotations

import csv
import math
import statistics
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dispatcher.catalog import cpus, find_accelerator
from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Workload
from dispatcher.planner.duration import StepTime, step_time
from dispatcher.planner.workload import workload

ROWS = Path(__file__).with_name("published_times.csv")
GPT2 = {"layers": 12, "hidden": 768, "heads": 12, "ffn": 3072}
LLAMA_70B = {"layers": 80, "hidden": 8192, "heads": 64, "kv_heads": 8, "ffn": 28672}
SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {**GPT2, "vocab": 50304, "tied_embeddings": True},
    "gpt2-163m": {**GPT2, "vocab": 50257, "tied_embeddings": False},
    # its name tells that its GELU is written out in Python
    "gpt2-163m-written": {**GPT2, "name": "gpt2-163m", "vocab": 50257, "tied_embeddings": False},
    "tinyllama": {"layers": 22, "hidden": 2048, "heads": 32, "kv_heads": 4, "ffn": 5632, "vocab": 32000},
    "llama2-7b": {"layers": 32, "hidden": 4096, "heads": 32, "ffn": 11008, "vocab": 32000},
    "llama2-13b": {"layers": 40, "hidden": 5120, "heads": 40, "ffn": 13824, "vocab": 32000},
    "codellama-34b": {"layers": 48, "hidden": 8192, "heads": 64, "kv_heads": 8, "ffn": 22016, "vocab": 32000},
    "llama2-70b": {**LLAMA_70B, "vocab": 32000},
    "llama3-8b": {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "ffn": 14336, "vocab": 128256},
    "llama3-70b": {**LLAMA_70B, "vocab": 128256},
    "bert-large": {"layers": 24, "hidden": 1024, "heads": 16, "ffn": 4096, "vocab": 30522, "kind": "encoder"},
    "bart-large": {"name": "facebook/bart-large"},
    "qwen3-0.6b": {
        "layers": 28, "hidden": 1024, "heads": 16, "kv_heads": 8, "ffn": 3072, "vocab": 151936, "tied_embeddings": True,
    },
}  # fmt: skip
CHECKPOINTING = {"no": False, "full": True, "selective": "selective"}
MEAN_LENGTHS = {"tloen/alpaca-lora issue 432": 110}
"""Mean tokens of a sample where `sequence` is only the longest."""


def rows() -> list[dict[str, str]]:
    with ROWS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def device_of(row: dict[str, str]) -> Device:
    part, count = find_accelerator(row["device"]), int(row["count"])
    assert part is not None, row["device"]
    kind = "mps" if part.vendor == "Apple" else "cuda"
    return Device(kind, cpus()[0], 8.0 * count, 64.0 * count, part, count, part.memory_gib)


def job_of(row: dict[str, str]) -> JobConfig:
    training = {
        "method": row["method"], "batch_size": int(row["batch"]), "gradient_accumulation": int(row["accumulation"]),
        "precision": row["precision"], "attention": row["attention"], "compile": row["compile"] == "yes",
        "gradient_checkpointing": CHECKPOINTING[row["checkpointing"]], "sharding": row["sharding"], "optimizer": "adamw",
    }  # fmt: skip
    model = {"family": "transformer", "sequence_length": int(row["sequence"]), **SHAPES[row["shape"]]}
    job = {"run": "true", "task": "train" if row["method"] == "full" else "finetune", "model": model, "training": training}
    mean = MEAN_LENGTHS.get(row["source"])
    return JobConfig.model_validate(job | ({"dataset": {"mean_length": mean}} if mean else {}))


def samples_per_second(row: dict[str, str]) -> float:
    """What was measured, all devices together."""
    scale = {"samples/s": 1.0, "tokens/s": 1 / int(row["sequence"])}
    scale["tokens/s/device"] = int(row["count"]) / int(row["sequence"])
    return float(row["value"]) * scale[row["unit"]]


@cache
def predictions() -> tuple[tuple[dict[str, str], float, StepTime], ...]:
    """Each row, the log of its predicted over its measured time, and the prediction."""
    found = []
    for row in rows():
        device = device_of(row)
        work = workload(job_of(row), device, for_time=True)
        assert isinstance(work, Workload)
        step = step_time(work, device)
        found.append((row, math.log(samples_per_second(row) / step.samples_per_second.likely), step))
    return tuple(found)


def errors(source: str = "") -> list[float]:
    """Relative errors of one source or of all, the smallest first."""
    return sorted(abs(math.expm1(off)) for row, off, _ in predictions() if source in row["source"])


def test_there_are_enough_rows_of_enough_sources_each_with_its_date() -> None:
    assert len(rows()) >= 25
    assert len({row["source"] for row in rows()}) >= 8
    assert all(row["published"][:2] == "20" for row in rows())


def test_the_median_error_is_within_a_seventh_and_nine_in_ten_within_two_fifths(capsys: pytest.CaptureFixture[str]) -> None:
    found = errors()
    median, p90 = statistics.median(found), found[int(0.9 * len(found))]
    with capsys.disabled():
        for row, off, _ in predictions():
            asked = f"{row['source'][:34]:34} {row['device']:>11} × {row['count']:3} {row['shape']:17}"
            print(f"\n{asked} {math.expm1(off):+5.0%}", end="")
        print(f"\n{len(found)} published speeds: median error {median:.0%}, 90th percentile {p90:.0%}")
    assert median <= 0.14
    assert p90 <= 0.40


@pytest.mark.parametrize("source", ["fms-fsdp", "torchtitan docs", "DeepLearningExamples BERT", "DeepLearningExamples BART"])
def test_large_jobs_on_datacentre_parts_are_within_a_fifth_at_the_median(source: str) -> None:
    assert statistics.median(errors(source)) <= 0.2


def test_the_stated_range_holds_most_published_speeds() -> None:
    stated = [(samples_per_second(row), step.samples_per_second) for row, _, step in predictions()]
    assert sum(range_.low <= measured <= range_.high for measured, range_ in stated) / len(stated) >= 0.85
