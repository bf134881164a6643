"""R6: after a cut the next new byte comes soon."""

from tests.guarantees.real.link import asked, p95
from tests.guarantees.row import Row, Size

TARGET = "reattach p95 <= 5 s to the first new byte; after a client's death <= 10 s"


def measure(size: Size = Size.WHOLE) -> Row:
    done = asked(size)
    cut, kill = p95(done.after_cuts), p95(done.after_kills)
    measured = f"p95 {cut:.2f} s after {len(done.after_cuts):,} cuts, {kill:.2f} s after {len(done.after_kills)} kills"
    return Row("R6", TARGET, measured, cut <= 5 and kill <= 10)
