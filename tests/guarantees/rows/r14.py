"""R14: a rented machine answers its caller on one port, and nobody else on any."""

from tests.guarantees.row import Row, Size
from tests.lab.image import lacking

TARGET = "port scan of a rented machine from a second address: 0 open ports; from the caller only SSH"


def measure(size: Size = Size.WHOLE) -> Row:
    if why := lacking():
        return Row("R14", TARGET, f"not measured: the lab's hosts need {why}", reached=False)
    from tests.guarantees.real.ports import scan

    seen = scan(size.of(65536, 1025, 257))
    measured = f"of {seen.knocked:,} ports {len(seen.other)} answered another address, {seen.caller} the caller;"
    measured += " the job's own server was not reached" if seen.served and 8888 not in seen.caller else " no server to hide"
    return Row("R14", TARGET, measured, seen.served and seen.control and not seen.other and seen.caller == [22])
