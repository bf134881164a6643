"""A notice goes out, or the reason is told without the address."""

from __future__ import annotations

import pytest

from dispatcher.notices.addresses import Address
from dispatcher.notices.sending import send, trouble
from tests.inbox import inbox

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what apprise loads


def test_a_service_gets_title_text_and_whether_it_is_bad():
    with inbox() as server:
        assert "" == send(Address("json://…", server.address), "title", "text", bad=True)
    assert [("title", "text", "failure")] == [(one["title"], one["message"], one["type"]) for one in server.got]


def test_why_it_was_not_taken_does_not_tell_the_address(caplog, capfd):
    with inbox() as server:
        server.answer = 500
        assert "it was not taken" == send(Address("json://…", server.address), "title", "text", bad=False)
    assert "it was not taken" == send(Address("json://…", server.address), "title", "text", bad=False)
    said = "".join(capfd.readouterr()) + caplog.text
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (Address("pigeon://…", "pigeon://roof"), "apprise knows no such address"),
        (Address("NAME", why="it is not here"), "it is not here"),
    ],
)
def test_what_cannot_be_reached_is_known_before(address, why):
    assert why == trouble(address) == send(address, "title", "text", bad=False)


def test_the_desktop_is_told_by_its_own_program(tmp_path, monkeypatch):
    program, got = tmp_path / "notify-send", tmp_path / "got"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {got}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sys.platform", "linux")
    assert "" == send(Address("desktop", "desktop"), "-title", "text", bad=False)
    assert "--app-name=mlrun|--|-title|text|" == got.read_text()
    program.write_text("#!/bin/sh\nexit 1\n")
    assert "notify-send failed" == send(Address("desktop", "desktop"), "title", "text", bad=False)


def test_without_a_desktop_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert "apt install libnotify-bin" in trouble(Address("desktop", "desktop"))
