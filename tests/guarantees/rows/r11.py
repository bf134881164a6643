"""R11: what a hostile host sends is written inside its target or not at all; what it prints commands no terminal."""

from tests.guarantees.real.escapes import harmful, passed
from tests.guarantees.real.hostile import visit
from tests.guarantees.row import Row, Size

TARGET = "500 hostile manifests and servers: 0 bytes written outside the target; the planted control is caught"


def measure(size: Size = Size.WHOLE) -> Row:
    found = visit(size.of(500, 60, 40))
    streams = size.of(50_000, 2_000, 1_000)
    escaped = passed(streams)
    trouble = [*found.breaches, *found.crashes, *map(repr, escaped)]
    measured = f"{found.servers} servers: {len(found.breaches)} breaches, {len(found.crashes)} crashes"
    measured += f", {found.taken} taken as they may be; a trusting client fell for {found.control}"
    measured += f"; {len(escaped)} of {streams:,} hostile streams reached the terminal"
    measured += f" ({'; '.join(trouble[:3])})" if trouble else ""
    caught = found.control > found.servers // 4 and harmful(b"a\x1b]0;x\x07")
    return Row("R11", TARGET, measured, not trouble and caught and found.taken > 0 and (not size.whole or found.servers >= 500))
