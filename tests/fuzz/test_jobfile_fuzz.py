"""Ten thousand spoilt job files: none breaks the loader, none that is invalid passes, none that is valid is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.load import load
from tests.fuzz.mutations import SEEDS, invalid, mutated, plain, valid, written
from tests.fuzz.oracle import objection

SHARDS = 4
Load = Callable[[Path], object]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A file to write to again and again, beside the one that it may import."""
    (tmp_path / "conf.yaml").write_text("epochs: 3\n")
    return tmp_path / "train.yaml"


def fuzz(loader: Load, file: Path, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """How many files went which way, and what is wrong with the loader."""
    random, ways, wrong = Random(seed), Counter[str](), []
    for _ in range(count):
        kind = random.choice((invalid, mutated, mutated, mutated, valid))
        text = kind(random)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        verdict = judged(loader, file)
        ways[f"{kind.__name__} {verdict.partition(':')[0]}"] += 1
        reason = verdict if verdict.startswith("crashed") else ""
        if verdict == "accepted":
            reason = "must be refused" if kind is invalid else objection(text)
        elif kind is valid:
            reason = f"must be accepted, {verdict}"
        if reason:
            wrong.append(f"{reason}\n{text[:2000]}")
    return ways, wrong


def judged(loader: Load, file: Path) -> str:
    try:
        loader(file)
    except JobFileError as error:
        told = error.problems and all(one.message and one.line >= 0 and one.column >= 0 for one in error.problems)
        return f"refused: {error.problems[0].message}" if told else "crashed: refused without a reason"
    except Exception as error:  # noqa: BLE001 - that there is none of these is what is tested
        return f"crashed: {type(error).__name__}: {error}"
    return "accepted"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_file_breaks_the_loader_and_none_that_is_invalid_passes(job, request, shard):
    count = request.config.getoption("--fuzz-count") // SHARDS
    ways, wrong = fuzz(load, job, seed=1000 + shard, count=count)
    assert [] == wrong[:3], f"{len(wrong)} of {count}"
    assert all(
        ways[way] > count // 100 for way in ("invalid refused", "mutated refused", "mutated accepted", "valid accepted")
    ), ways


@pytest.mark.parametrize("text", [write(seed) for seed in SEEDS for write in (written, plain)])
def test_what_is_mutated_is_valid(job, text):
    job.write_text(text)
    assert ("accepted", "") == (judged(load, job), objection(text))


def _accepts_all(file: Path) -> object:
    try:
        return load(file)
    except JobFileError:
        return None


def _misses_unknown_keys(file: Path) -> object:
    try:
        return load(file)
    except JobFileError as error:
        if all("unknown setting" in one.message for one in error.problems):
            return None
        raise


def _breaks_on_tabs(file: Path) -> object:
    if b"\t" in file.read_bytes():
        raise ValueError("tab")
    return load(file)


def _refuses_all(file: Path) -> object:
    return load(file / "nothing")


@pytest.mark.parametrize("planted", [_accepts_all, _misses_unknown_keys, _breaks_on_tabs, _refuses_all])
def test_a_loader_with_a_planted_fault_is_found_out(job, planted):
    _, wrong = fuzz(planted, job, seed=7, count=300)
    assert wrong


@pytest.mark.parametrize(
    "text", ["run: t\nrunn: t\n", "run: t\nrun: t\n", "run: &a t\n", "run: t\ntraining: {epochs: 1, steps: 1}\n", "run: .nan\n"]
)
def test_the_second_opinion_objects_to_what_is_invalid(text):
    assert objection(text)
