"""R1: mlrun killed before any of its effects leaves no machine beyond its deadline, and launches none twice."""

from tests.guarantees.row import Row, Size
from tests.guarantees.sim.matrix import total, tried

TARGET = (
    "SIGKILL at each of N >= 20 points x aws, gcp, ssh, local x 4 return times (>= 160 cells): 0 alive after deadline, 0 twice"
)


def measure(size: Size = Size.WHOLE) -> Row:
    cells, effects, wrong = total(tried("crashed", size))
    measured = f"{effects} effects of one run in four places, {cells} cells: {len(wrong)} wrong"
    enough = effects >= 80 and cells >= size.of(160, 80, 15)
    return Row("R1", TARGET, "; ".join([measured, *wrong[:3]]), not wrong and enough)
