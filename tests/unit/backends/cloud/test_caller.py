"""The caller's address: from several services, never a network."""

from __future__ import annotations

import pytest

from dispatcher.backends.cloud.caller import SERVICES, VARIABLE, caller
from dispatcher.errors import HostUnreachable, UsageError


def answers(said: dict[str, str | None]):
    def fetch(service: str) -> str:
        answer = said.get(service)
        if answer is None:
            raise OSError("unreachable")
        return answer

    return fetch


def test_what_the_user_says_is_believed_and_nobody_is_asked():
    assert ("203.0.113.7/32",) == caller({VARIABLE: "203.0.113.7"}, fetch=answers({}))


def test_several_may_be_said():
    assert ("203.0.113.7/32", "203.0.113.8/32") == caller({VARIABLE: "203.0.113.7, 203.0.113.8/32"})


@pytest.mark.parametrize("said", ["0.0.0.0/0", "203.0.113.0/24", "::1", "me", "203.0.113.7; reboot"])
def test_what_would_let_strangers_in_is_refused(said):
    with pytest.raises(UsageError):
        caller({VARIABLE: said})


def test_one_service_that_answers_is_enough():
    assert ("203.0.113.7/32",) == caller({}, fetch=answers({SERVICES[1]: " 203.0.113.7\n"}))


def test_services_that_see_different_addresses_are_all_let_in():
    seen = {SERVICES[0]: "203.0.113.7", SERVICES[1]: "203.0.113.9", SERVICES[2]: "203.0.113.7"}
    assert ("203.0.113.7/32", "203.0.113.9/32") == caller({}, fetch=answers(seen))


def test_a_page_in_place_of_an_address_is_not_believed():
    with pytest.raises(HostUnreachable) as caught:
        caller({}, fetch=answers(dict.fromkeys(SERVICES, "<html>Please log in to this network</html>")))
    assert VARIABLE in caught.value.fix


def test_a_lab_asks_nobody_outside():
    with pytest.raises(UsageError, match="stand-in"):
        caller({}, lab=True, fetch=answers(dict.fromkeys(SERVICES, "203.0.113.7")))
