"""A machine that does not answer: what it printed last is told, as far as a terminal may be shown it."""

from __future__ import annotations

import pytest

from dispatcher.backends.base import ProvisionedMachine
from dispatcher.backends.cloud import reach
from dispatcher.backends.cloud.contact import CloudContact, last_lines
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.domain.run import Label
from dispatcher.errors import HostUnreachable
from dispatcher.retries import SystemClock

LABEL = Label("0123456789")


class Silent(CloudContact[str]):
    """A machine that printed what the account says, and does not answer."""

    IDENTITY = "/nowhere"
    _identity = "it"

    def _expected(self, *, borrowed):
        return ("ssh-ed25519 A",), reach.BOOT

    def _alive(self) -> None:
        pass

    def _printed(self) -> str:
        return self.account


@pytest.fixture
def silent(tmp_path, monkeypatch):
    def refused(*_args: object) -> None:
        raise HostUnreachable("not reached in 600 s", fix="mlrun doctor")

    monkeypatch.setattr(reach, "reach", refused)
    machine = ProvisionedMachine(LABEL, "gcp", "e2-small")
    return lambda printed: Silent(printed, machine, Keyring(tmp_path, LABEL), SystemClock())


def test_what_it_printed_last_is_told(silent):
    with pytest.raises(HostUnreachable, match=r"not reached in 600 s\. It printed last: two / three / login:") as raised:
        silent("one\ntwo\n\x1b[31mthree\x1b[0m\n\n\rlogin:\n").made()
    assert "mlrun doctor" == raised.value.fix


def test_where_nothing_is_known_of_that_the_error_stands_as_it_was(silent):
    with pytest.raises(HostUnreachable, match=r"not reached in 600 s$"):
        silent("").made()


def test_a_long_last_line_is_cut():
    assert "x" * 300 == last_lines("x" * 1000)


@pytest.mark.parametrize(("cuts", "reached"), [(1, True), (2, True), (3, False)])
def test_a_machine_that_cuts_who_has_just_come_in_is_dialled_again_but_not_for_ever(silent, monkeypatch, cuts, reached):
    class Link:
        closed = 0

        def close(self) -> None:
            Link.closed += 1

    def check(*_args: object) -> None:
        if Link.closed < cuts:
            raise HostUnreachable("The connection is lost")

    monkeypatch.setattr(reach, "reach", lambda *_args: (Link(), "ssh-ed25519 A"))
    monkeypatch.setattr(reach, "touch_contact", lambda _host: None)
    monkeypatch.setattr(reach, "check_identity", check)
    monkeypatch.setattr(Silent, "_settled", lambda _self, host, *_args, **_more: host, raising=False)
    if reached:
        assert isinstance(silent("").made(), Link)
    else:
        with pytest.raises(HostUnreachable, match="is lost"):
            silent("").made()
    assert Link.closed == cuts
