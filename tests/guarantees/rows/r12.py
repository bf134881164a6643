"""R12: secrets reach the job, and are found nowhere else."""

from tests.guarantees.real.canaries import SHAPES, hunt
from tests.guarantees.row import Row, Size

TARGET = "20 canary secrets in user-data, argv (/proc at 10 ms), tags, DB, logs, plans, reports, JSON, tracebacks: 0 hits"


def measure(size: Size = Size.WHOLE) -> Row:
    found = hunt(size)
    every = 1000 * found.seconds / max(1, found.samples)
    measured = f"{len(SHAPES)} secrets, {found.places} places, argv every {every:.0f} ms on average: {len(found.hits)} hits"
    trouble = [*dict.fromkeys(found.hits), *found.wrong]
    measured += f" ({'; '.join(trouble[:4])})" if trouble else ""
    return Row("R12", TARGET, measured, not trouble)
