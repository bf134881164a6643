"""R7: how a job ended is told truly, and what nobody knows is never called success."""

import os

from tests.guarantees.real.truth import table
from tests.guarantees.row import Row, Size

TARGET = "exit-code truth table (0-255, signals, OOM, reboot, spot, disk full): 100 % right; unknown never 0"


def measure(size: Size = Size.WHOLE) -> Row:
    count, wrong = table(size)
    measured = f"{count - len(wrong)} of {count} ends told truly" + (f"; not: {'; '.join(wrong[:5])}" if wrong else "")
    whole = os.getuid() == 0
    return Row(
        "R7", TARGET, measured + ("" if whole else "; without root: no full disk, no kill by the kernel"), not wrong and whole
    )
