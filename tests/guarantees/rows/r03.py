"""R3: where the machine's own timers do nothing and nobody comes back, the account ends it."""

from tests.guarantees.row import Row
from tests.guarantees.sim.matrix import total, tried

TARGET = "host timers failing, AWS with the account's reaper, Google with maxRunDuration: 0 alive 20 min after the deadline"


def measure(quick: bool = False) -> Row:
    cells, _, wrong = total(tried("hung", quick=quick))
    measured = f"{cells} cells: {len(wrong)} wrong (without the reaper nothing ends a hung AWS machine)"
    return Row("R3", TARGET, "; ".join([measured, *wrong[:3]]), not wrong)
