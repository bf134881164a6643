"""R8: an interrupted fetch clears nothing away, and takes no damaged file."""

from tests.guarantees.real.fetching import interrupted
from tests.guarantees.row import Row

TARGET = "500 interrupted fetches: 0 teardowns before verification, 0 corrupt files accepted"


def measure(quick: bool = False) -> Row:
    done = interrupted(20, 5) if quick else interrupted(420, 80)
    measured = f"{done.cuts} cuts and {done.kills} kills while fetching: {len(done.wrong)} wrong"
    measured += f" ({'; '.join(done.wrong[:3])})" if done.wrong else ""
    return Row("R8", TARGET, measured, not done.wrong and (quick or done.cuts + done.kills >= 500))
