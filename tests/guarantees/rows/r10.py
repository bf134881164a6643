"""R10: spoilt job files are refused in words, quickly, within little memory."""

import random
import resource
import tempfile
import time
from pathlib import Path

from dispatcher.jobfile.load import load
from tests.fuzz.mutations import invalid, mutated, valid
from tests.fuzz.oracle import objection
from tests.fuzz.test_jobfile_fuzz import judged
from tests.guarantees.row import Row, Size

TARGET = "10,000 fuzzed configs + 2,000 mutated near-valid: 0 tracebacks, <= 200 MB, <= 1 s each"
COUNTS = {invalid: 5000, valid: 5000, mutated: 2000}


def measure(size: Size = Size.WHOLE) -> Row:
    dice, wrong, slowest, count = random.Random(10), [], 0.0, 0
    with tempfile.TemporaryDirectory(prefix="mlrun-fuzz-") as folder:
        (Path(folder) / "conf.yaml").write_text("epochs: 3\n")
        file = Path(folder) / "train.yaml"
        for kind, whole in COUNTS.items():
            for _ in range(size.of(whole, whole // 20, whole // 100)):
                text = kind(dice)
                file.write_bytes(text.encode("utf-8", "surrogatepass"))
                begun = time.monotonic()
                verdict = judged(load, file)
                slowest, count = max(slowest, time.monotonic() - begun), count + 1
                if verdict.startswith("crashed") or (verdict == "accepted" and objection(text)):
                    wrong.append(verdict[:100])
    measured = f"{count:,} files: {len(wrong)} wrong, the slowest {slowest:.2f} s, {_peak_mb():.0f} MB at peak"
    return Row("R10", TARGET, "; ".join([measured, *wrong[:3]]), not wrong and slowest <= 1 and _peak_mb() <= 200)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
