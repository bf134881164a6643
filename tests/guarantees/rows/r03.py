"""R3: where the machine's own timers do nothing and nobody comes back, the account ends it."""

from tests.guarantees.row import Row, Size
from tests.guarantees.sim.matrix import total, tried

TARGET = (
    "host timers failing, AWS with the account's reaper or the machine's own schedule, Google with maxRunDuration: "
    "0 alive 20 min after the deadline"
)


def measure(size: Size = Size.WHOLE) -> Row:
    by_reaper, _, late = total(tried("hung", size))
    by_schedule, _, later = total(tried("guarded", size))
    cells, wrong = by_reaper + by_schedule, [*late, *later]
    measured = f"{cells} cells: {len(wrong)} wrong (without either nothing ends a hung AWS machine)"
    return Row("R3", TARGET, "; ".join([measured, *wrong[:3]]), not wrong)
