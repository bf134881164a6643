"""Keys and pins: private, durable, never guessed."""

from __future__ import annotations

import stat
from dataclasses import replace

import pytest

from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.domain.run import Label
from dispatcher.errors import HostError
from dispatcher.hosts.keys import new_key, public_of

LABEL = Label("0123456789")


@pytest.fixture
def keyring(tmp_path):
    return Keyring(tmp_path / "run", LABEL)


def test_keys_are_made_once_and_are_for_nobody_else(keyring):
    assert keyring.public_key() == keyring.public_key()
    private, public = keyring.host_key()
    assert (private, public) == keyring.host_key()
    assert public == public_of(private)
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in keyring.folder.iterdir()}


def test_the_born_key_is_expected_until_it_is_replaced(keyring):
    _, born = keyring.host_key()
    assert ((born,), False) == (keyring.candidates, keyring.replaced)
    other = new_key()[1]
    keyring.replace_pin(other, certain=False)
    assert ((other, born), False) == (keyring.candidates, keyring.replaced)
    keyring.replace_pin(other, certain=True)
    assert ((other,), True, None) == (keyring.candidates, keyring.replaced, keyring.born)


def test_without_a_key_nothing_is_expected(keyring):
    assert () == keyring.candidates


def test_a_launch_is_there_for_the_next_process(keyring):
    assert keyring.launch() is None
    keyring.note({"token": "T", "sent": 1.0})
    assert {"token": "T", "sent": 1.0} == Keyring(keyring.folder, LABEL).launch()


def test_a_damaged_note_is_never_taken_for_no_launch(keyring):
    keyring.note({})
    (keyring.folder / f"{LABEL}.launch").write_text("{")
    with pytest.raises(HostError):
        keyring.launch()


def test_the_runs_key_stays_for_its_other_attempts(keyring):
    other = Keyring(keyring.folder, replace(LABEL, attempt=2))
    for one in (keyring, other):
        one.public_key()
        one.host_key()
    keyring.forget()
    assert other.known
    other.forget()
    assert not other.known
