"""R1: mlrun killed before any of its effects leaves no machine beyond its deadline, and launches none twice."""

from tests.guarantees.row import Row
from tests.guarantees.sim.matrix import total, tried

TARGET = (
    "SIGKILL at each of N >= 20 points x 2 clouds x 4 return times (>= 160 cells): 0 alive after deadline, 0 double launches"
)


def measure(quick: bool = False) -> Row:
    cells, effects, wrong = total(tried("crashed", quick=quick))
    measured = f"{effects} effects of one run on two clouds, {cells} cells: {len(wrong)} wrong"
    return Row("R1", TARGET, "; ".join([measured, *wrong[:3]]), not wrong and effects >= 40 and (quick or cells >= 160))
