"""Secrets are found by name and never show."""

from __future__ import annotations

import json
import pickle
import sys
import types

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.secrets import Secret, read_env, resolve

HIDDEN = "hunter2"


def test_a_secret_shows_as_stars():
    secret = Secret(HIDDEN, ".env")
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r}",
        f"{secret:>5}",
        str([secret]),
        str({"a": secret}),
    ]
    assert [] == [text for text in shown if HIDDEN in text or "***" not in text]
    assert HIDDEN == secret.reveal()


def test_a_secret_cannot_be_written_down():
    with pytest.raises(TypeError):
        json.dumps({"a": Secret(HIDDEN)})
    with pytest.raises(TypeError):
        pickle.dumps(Secret(HIDDEN))


def test_the_environment_comes_before_the_file(tmp_path):
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    found = resolve(["A", "B", "A"], tmp_path, {"A": "around", "C": "x"})
    assert {"A": ("around", "environment"), "B": ("file", ".env")} == {
        name: (secret.reveal(), secret.source) for name, secret in found.items()
    }


def test_no_names_look_nowhere(tmp_path):
    (tmp_path / ".env").write_text("this is not readable as .env\n")
    assert {} == resolve([], tmp_path)


def test_all_that_are_missing_are_told_with_where_they_were_looked_for(tmp_path):
    with pytest.raises(JobFileError) as caught:
        resolve(["A", "B", "C"], tmp_path, {"B": "x", "C": ""})
    assert ["secrets.A", "secrets.C"] == [one.path for one in caught.value.problems]
    assert all(str(tmp_path / ".env") in one.message and "export" in one.fix for one in caught.value.problems)


def test_the_keyring_is_asked_where_it_is_installed(tmp_path, monkeypatch):
    asked = []
    library = types.ModuleType("keyring")
    library.__spec__ = types.SimpleNamespace(name="keyring")
    library.errors = types.SimpleNamespace(KeyringError=OSError)

    def get_password(service, name):
        asked.append((service, name))
        if name == "LOCKED":
            raise OSError("locked")
        return {"A": "kept"}.get(name)

    library.get_password = get_password
    monkeypatch.setitem(sys.modules, "keyring", library)
    found = resolve(["A"], tmp_path, {})
    assert ("kept", "keyring", [("dispatcher", "A")]) == (found["A"].reveal(), found["A"].source, asked)
    with pytest.raises(JobFileError) as caught:
        resolve(["LOCKED"], tmp_path, {})
    assert "keyring set dispatcher LOCKED" in caught.value.problems[0].fix


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"), ("A = b ", "b"), ("export A=b", "b"), ("A=", ""), ("A=b # note", "b"), ("A=b#c", "b#c"),
        ("A='b # c'", "b # c"),
        ('A="b # c" # d', "b # c"), ('A="two\\nlines"', "two\nlines"), ('A="q\\"q"', 'q"q'), ("A='$HOME'", "$HOME"),
        ("A=$HOME", "$HOME"),
        ('A="one\ntwo"', "one\ntwo"), ("A=a=b", "a=b"), ("A=é", "é"), ("\ufeffA=b", "b"), ("# c\n\nA=b\r", "b"),
    ],
)  # fmt: skip
def test_a_line_of_env_is_read(tmp_path, line, value):
    (tmp_path / ".env").write_bytes(line.encode() + b"\n")
    assert {"A": value} == read_env(tmp_path / ".env")


@pytest.mark.parametrize("line", ["hunter2", "1A=hunter2", 'A="hunter2', "A='hunter2", "A B=hunter2", "A=hunter2\0x"])
def test_a_line_that_cannot_be_read_is_told_without_showing_it(tmp_path, line):
    (tmp_path / ".env").write_text(f"OK=1\n{line}\n")
    with pytest.raises(JobFileError) as caught:
        read_env(tmp_path / ".env")
    (problem,) = caught.value.problems
    assert (2, False) == (problem.line, "hunter2" in f"{problem.message}{problem.fix}{problem.source}")


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(JobFileError):
        read_env(tmp_path / ".env")


def test_no_file_is_no_values(tmp_path):
    assert {} == read_env(tmp_path / ".env")
