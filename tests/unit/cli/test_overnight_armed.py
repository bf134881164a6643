"""What is said of triggers that were armed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from dispatcher.cli.overnight import _say_armed
from dispatcher.overnight.night import Night

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NIGHT = Night("0123456789", "trains", "gcp", "us-central1", NOW.timestamp() + 3600, "UTC", trigger="mlrun-night-0123456789")


def said(capsys, **changes):
    _say_armed(replace(NIGHT, **changes), NOW)
    return " ".join(capsys.readouterr().err.split())


def test_overnight_every_trigger_of_a_ladder_is_told(capsys):
    assert "triggers: mlrun-night-0123456789, then -2 to -4, five minutes apart; the machine deletes all 4" in said(
        capsys, rungs=("a/x", "b/x", "c/x", "f/x")
    )
    assert "trigger: mlrun-night-0123456789, which the machine deletes" in said(capsys, rungs=("a/x",))
    assert "trigger: mlrun-night-0123456789, which deletes itself" in said(capsys, where="aws")


def test_overnight_who_deletes_the_trigger_of_one_that_comes_again_is_told(capsys):
    again = {"cron": "0 1 * * *", "until": NOW.timestamp() + 9 * 86400, "rungs": ("a/x",)}
    assert "which the first mlrun command after its last time deletes" in said(capsys, **again)
    assert "which deletes itself" in said(capsys, **again | {"where": "aws"})
