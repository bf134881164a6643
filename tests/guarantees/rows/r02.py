"""R2: where no machine ends itself, whoever comes back within the hour finds and ends everything."""

from tests.guarantees.row import Row, Size
from tests.guarantees.sim.matrix import total, tried

TARGET = "the same with the watchdog disabled, back within 1 h: 0 leaked, closed within 16 min of the return"


def measure(size: Size = Size.WHOLE) -> Row:
    cells, _, wrong = total(tried("dumb", size))
    return Row("R2", TARGET, "; ".join([f"{cells} cells: {len(wrong)} wrong", *wrong[:3]]), not wrong)
