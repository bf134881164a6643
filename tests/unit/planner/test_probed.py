"""What a probe here does to the figures here and elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.domain.hardware import Cpu
from dispatcher.domain.plan import Amount, Range
from dispatcher.domain.probed import Pace, Probed
from dispatcher.planner.assess import assess
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.probed import Evidence, document, probed, words
from tests.unit.planner.things import device, gpu, job, needs

HERE = device()
FASTER = device(name="A100", bf16_tflops=312.0, fp16_tflops=312.0, fp32_tflops=19.5, bandwidth_gbs=1555.0)
STEPS = Pace("step", Range(0.45, 0.5, 0.6), done=100, total=1000, before=10.0, source="tqdm", marks=100)


def seen(**more):
    return Probed(
        **{"device": HERE, "seconds": 90.0, "ram_gib": 3.0, "gpu_memory_gib": 5.0, "gpu_busy": 1.0, "pace": STEPS, **more}
    )


def bare(on=HERE):
    """An assessment of a job that nobody described."""
    nothing = Amount(Range(0.0, 0.0, 0.0), {}, "stated")
    return Assessment(on, None, nothing, nothing, basis="stated")


def test_on_this_very_device_the_figures_are_those_that_were_measured():
    found = probed(needs(hours=1.0), Evidence(seen(), needs(hours=1.0)))

    assert found.run.likely == pytest.approx(510.0)
    assert (found.gpu.range.likely, found.ram.range.likely) == (pytest.approx(5.0), pytest.approx(3.0))
    assert (found.basis, found.gpu.basis) == ("measured", "measured")
    assert sum(found.gpu.terms.values()) == pytest.approx(found.gpu.range.likely)


def test_the_measured_range_is_narrower_than_the_formulas():
    found = probed(needs(hours=1.0), Evidence(seen(), needs(hours=1.0)))

    assert found.run.high / found.run.low < needs(hours=1.0).run.high / needs(hours=1.0).run.low


def test_elsewhere_the_formula_is_corrected_by_most_of_what_the_probe_showed_and_the_range_is_wider():
    there = needs(hours=0.2, on=FASTER)
    found = probed(there, Evidence(seen(), needs(hours=1.0)))
    here = probed(needs(hours=1.0), Evidence(seen(), needs(hours=1.0)))

    assert there.run.likely * 510 / 3600 < found.run.likely < there.run.likely
    assert found.basis == "formula, corrected by a probe here"
    assert found.run.high / found.run.low > here.run.high / here.run.low


def test_a_probe_on_a_processor_says_less_of_a_gpu_and_nothing_of_its_memory():
    on_cpu = seen(device=device("cpu"), gpu_memory_gib=None, gpu_busy=None)
    there = needs(hours=0.2)
    found = probed(there, Evidence(on_cpu, needs(gpu_gib=None, hours=1.0)))

    assert found.run.likely == pytest.approx(there.run.likely * (510 / 3600) ** 0.5)
    assert found.gpu == there.gpu


def test_a_probe_that_is_far_from_the_formula_leaves_both_possible_elsewhere():
    on_cpu = seen(device=device("cpu"), gpu_memory_gib=None, gpu_busy=None)
    there = needs(hours=0.2)
    found = probed(there, Evidence(on_cpu, needs(gpu_gib=None, hours=0.005)))

    ratio = 510 / 18
    assert found.run.low < there.run.likely < found.run.likely < there.run.likely * ratio < found.run.high


def test_a_gpu_that_waits_for_its_host_gains_less_from_a_faster_one():
    there, formula = needs(hours=0.1, on=FASTER), needs(hours=1.0)
    busy, waiting = (probed(there, Evidence(seen(gpu_busy=share), formula)).run.likely for share in (1.0, 0.3))

    assert waiting > 2 * busy
    assert waiting < 510


def test_where_no_progress_was_seen_memory_is_measured_and_the_time_stays_unknown():
    one = Evidence(seen(pace=None, gpu_memory_gib=None))
    found = probed(bare(), one)

    assert found.run is None
    assert (found.ram.range.likely, found.ram.basis) == (3.0, "measured")
    assert "time unknown" in " ".join(words(one))


def test_before_training_began_less_memory_than_the_formula_says_proves_nothing():
    formula = needs(ram_gib=8.0, gpu_gib=None, on=device("cpu"))
    idle = Evidence(seen(device=device("cpu"), pace=None, gpu_memory_gib=None), formula)

    assert probed(formula, idle).ram.range.likely == 8.0


def test_a_job_that_nobody_described_has_the_time_that_was_measured():
    found = probed(bare(), Evidence(seen()))

    assert (found.run.likely, found.basis) == (pytest.approx(510.0), "measured")


def test_an_undescribed_job_on_another_processor_is_scaled_by_its_cores():
    slow = Cpu("Slow CPU", "Test", "x86", "server", cores=8, threads=16, gflops=400.0, bandwidth_gbs=50.0)
    here = device("cpu")
    alone = Evidence(seen(device=here, gpu_memory_gib=None, cores_busy=1.0))
    all_cores = Evidence(seen(device=here, gpu_memory_gib=None, cores_busy=7.9))
    there, larger = replace(here, cpu=slow), replace(here, usable_cores=32.0)

    assert probed(bare(there), alone).run.likely == pytest.approx(1020.0)
    assert probed(bare(larger), alone).run.likely == pytest.approx(510.0)
    assert 510 / 4 < probed(bare(larger), all_cores).run.likely < 510
    assert probed(bare(larger), all_cores).run.high >= 510


def test_an_undescribed_job_that_was_probed_without_a_gpu_has_no_time_on_one():
    asked = replace(bare(), gpu=Amount(Range(8.0, 8.0, 8.0), {"stated": 8.0}, "stated"))
    found = probed(asked, Evidence(seen(device=device("cpu"), gpu_memory_gib=None)))

    assert found.run is None
    assert "unknown" in found.warnings[-1]


def test_an_undescribed_job_that_was_probed_on_a_gpu_is_scaled_to_another_gpu_and_has_no_time_without_one():
    faster, without = probed(bare(FASTER), Evidence(seen())), probed(bare(device("cpu")), Evidence(seen()))

    assert faster.run.likely < 510.0
    assert faster.warnings == ()
    assert without.run is None
    assert without.warnings == ("It was probed on a GPU: its time without one is unknown.",)


def test_a_job_that_came_to_its_end_tells_its_time_unless_it_asks_whether_it_is_only_probed():
    done = seen(finished=True, seconds=40.0, pace=None)

    assert Evidence(done).run.likely == 40.0
    assert Evidence(replace(done, shortened=True)).run is None
    early = replace(done, shortened=True, pace=STEPS)
    assert Evidence(early).run.likely == pytest.approx(510.0)


def test_steps_without_a_total_are_counted_by_the_job_file():
    formula = needs(hours=1.0, step=Range(1.5, 1.8, 2.0))
    known = Evidence(seen(pace=replace(STEPS, total=None)), formula)

    assert known.run.likely == pytest.approx(10 + 2000 * 0.5)


def test_a_changed_job_is_scaled_as_the_formula_scales_it():
    formula = needs(gpu_gib=4.0, hours=1.0)
    smaller = needs(gpu_gib=2.0, hours=1.2)
    found = probed(smaller, Evidence(seen(), formula))

    assert found.gpu.range.likely == pytest.approx(2.5)
    assert found.run.likely == pytest.approx(510 * 1.2)


def test_the_document_carries_the_probe_and_its_words():
    told = document(Evidence(seen()))

    assert told["pace"]["unit"] == "step"
    assert told["run_seconds"]["likely"] == pytest.approx(510.0)
    assert "500 ms per step" in " ".join(told["words"])


def test_a_real_job_is_assessed_with_its_probe():
    training = {"batch_size": 32, "epochs": 2, "optimizer": "sgd", "precision": "fp32"}
    described = job(model="resnet18", dataset={"samples": 1000}, training=training, task="train")
    here = device(**{name: getattr(gpu(), name) for name in ("name",)})
    formula = assess(described, here)
    found = assess(described, here, probed=Evidence(seen(pace=replace(STEPS, total=64.0)), formula), explained=True)

    assert found.run.likely == pytest.approx(10 + 32)
    assert any(line.startswith("probe: 90 s") for line in found.explain)
