"""R2: where no machine ends itself, whoever comes back within the hour finds and ends everything."""

from tests.guarantees.row import Row
from tests.guarantees.sim.matrix import total, tried

TARGET = "the same with the watchdog disabled, back within 1 h: 0 leaked, closed within 16 min of the return"


def measure(quick: bool = False) -> Row:
    cells, _, wrong = total(tried("dumb", quick=quick))
    return Row("R2", TARGET, "; ".join([f"{cells} cells: {len(wrong)} wrong", *wrong[:3]]), not wrong)
