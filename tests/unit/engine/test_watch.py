"""What a job's folder says is not believed beyond what it can be."""

from __future__ import annotations

import pytest

from dispatcher.engine.watch import sampled


@pytest.mark.parametrize("value", ["x", [], {}, True, float("nan"), float("inf"), 10**400, None])
def test_a_sample_that_is_no_figure_is_none(value):
    sample = dict.fromkeys(("cpus", "ram_gib", "gpu_utilisation", "gpu_memory_gib"), value)

    found = sampled("a" * 10, 1.0, sample)

    assert (found.cpus, found.ram_gib, found.gpu_utilisation, found.gpu_memory_gib) == (0.0, 0.0, None, None)
