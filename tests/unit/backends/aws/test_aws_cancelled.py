"""A launch that nobody wants any more: not waited for, and nothing is left of it."""

from __future__ import annotations

import threading

import pytest

from dispatcher.backends.base import Terms
from dispatcher.errors import Cancelled


class Impatient:
    """A clock whose first pause is when the user cancels."""

    def __init__(self, clock, cancel):
        self.clock, self.cancel, self.pauses = clock, cancel, 0

    def __getattr__(self, name):
        return getattr(self.clock, name)

    def sleep(self, seconds, cancel=None):
        self.cancel.set()
        self.pauses += cancel is self.cancel
        return self.clock.sleep(0.0 if cancel is self.cancel else seconds, cancel)


@pytest.mark.parametrize("throttled", [0, 99])
def test_a_machine_that_is_not_wanted_any_more_is_not_waited_for_and_is_ended(
    ec2, backend, offer, label, clock, ledger, throttled
):
    cancel = threading.Event()
    backend._clock = Impatient(clock, cancel)
    ec2.control("set", {"pending": 250.0})
    if throttled:
        ec2.faults.add("RunInstances", code="RequestLimitExceeded", n=throttled)
    begun = clock.now()
    with pytest.raises(Cancelled):
        backend.provision(offer, label, Terms(cancel=cancel))
    assert (1, begun) == (backend._clock.pauses, clock.now())
    backend.terminate(label)
    assert ([], []) == (list(backend.leftovers()), ledger.open())


def test_a_machine_costs_what_aws_says_now(ec2, backend, offer):
    ec2.control("set", {"price": {"t3.large": 0.2}})
    assert 0.2 == backend.price_now(offer)
