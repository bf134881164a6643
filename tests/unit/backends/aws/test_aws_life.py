"""AWS machines from intent to proof of their end, in the lab on paper."""

from __future__ import annotations

from dispatcher.backends.base import Terms


def test_a_machine_is_made_found_and_ended(backend, offer, label, ec2, ledger):
    made = backend.provision(offer, label, Terms(max_seconds=3600, disk_gb=50, run_name="pets"))
    print(made)
    assert made == backend.find(label)
    assert {"instance", "volume", "rule"} == {one.kind for one in backend.leftovers()}
    backend.terminate(label)
    assert (None, [], []) == (backend.find(label), list(backend.leftovers()), ledger.open())
