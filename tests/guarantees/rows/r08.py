"""R8: an interrupted fetch clears nothing away, and takes no damaged file."""

from tests.guarantees.real.fetching import interrupted
from tests.guarantees.row import Row, Size

TARGET = "500 interrupted fetches: 0 teardowns before verification, 0 corrupt files accepted"


def measure(size: Size = Size.WHOLE) -> Row:
    done = interrupted(*size.of((420, 80), (20, 5), (6, 1)))
    measured = f"{done.cuts} cuts and {done.kills} kills while fetching: {len(done.wrong)} wrong"
    measured += f" ({'; '.join(done.wrong[:3])})" if done.wrong else ""
    return Row("R8", TARGET, measured, not done.wrong and (not size.whole or done.cuts + done.kills >= 500))
