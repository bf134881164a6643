"""R4: users, clouds and time in any order: no rule of the life of a run is ever broken."""

from hypothesis.stateful import run_state_machine_as_test

from tests.guarantees.row import Row, Size
from tests.guarantees.sim.machine import Runs, with_settings

TARGET = "stateful runs: 10,000 sequences x 50 steps: 0 invariant breaks"
SEQUENCES, STEPS = (10_000, 300, 60), 50


def measure(size: Size = Size.WHOLE) -> Row:
    sequences = size.of(*SEQUENCES)
    measured = f"{sequences:,} sequences of at most {STEPS} steps: "
    try:
        run_state_machine_as_test(Runs, settings=with_settings(sequences, STEPS))
    except AssertionError as broken:
        return Row("R4", TARGET, f"{measured}broken: {str(broken).splitlines()[0][:160]}", reached=False)
    return Row("R4", TARGET, f"{measured}0 breaks", reached=True)
