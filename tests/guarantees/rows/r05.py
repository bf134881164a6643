"""R5: cuts of the link and kills of the client lose and double no byte of the log."""

from tests.guarantees.real.link import LEAST, asked
from tests.guarantees.row import Row, Size

TARGET = "1,000 SSH cuts and 100 client kills over >= 30 MB of awkward bytes: 0 bytes lost or doubled"


def measure(size: Size = Size.WHOLE) -> Row:
    done = asked(size)
    same = "byte-identical" if done.identical else "NOT IDENTICAL"
    measured = f"{done.cuts:,} cuts, {done.kills} kills, {done.size / 1e6:.1f} MB: {same}, exit code {done.exit_code} of 23"
    right = done.identical and done.size >= LEAST[size] and done.exit_code == 23
    return Row("R5", TARGET, measured, right and (not size.whole or (done.cuts >= 1000 and done.kills >= 100)))
