"""A run as it is watched: the job's bytes to stdout, our words to stderr."""

from __future__ import annotations

import json

import pytest

from dispatcher.cli.render.live import JsonLines, Screen
from dispatcher.domain.run import Attempt, Label, RunState
from dispatcher.events import AttemptStarted, LogBytes, Progress, Sampled, StateChanged, Warned
from tests.golden.runs import NOW


def told(capfdbinary: pytest.CaptureFixture[bytes], *events: object, quiet: bool = False) -> tuple[bytes, str]:
    screen = Screen(quiet=quiet)
    for event in events:
        screen(event)  # type: ignore[arg-type]
    screen.close()
    out, err = capfdbinary.readouterr()
    return out, err.decode()


def log(data: bytes) -> LogBytes:
    return LogBytes("r", NOW, 0, data)


@pytest.mark.parametrize("data", [b"plain\n", b"50%\r100%", bytes(range(256)), b"", "日本語".encode()[:4], b"\x1b]0;title\x07"])
def test_a_pipe_gets_the_jobs_bytes_as_they_are(data, capfdbinary):
    assert (data, "") == told(capfdbinary, log(data))


def test_our_words_never_reach_stdout(capfdbinary):
    out, err = told(
        capfdbinary,
        StateChanged("r", NOW, RunState.PREPARING),
        log(b"epoch 1"),
        Warned("r", NOW, "Half of the time is used.", "mlrun stop r"),
        Progress("r", NOW, "sync", "3 of 4 files"),
        log(b", epoch 2\n"),
        Progress("r", NOW, "collect", "collecting outputs"),
        StateChanged("r", NOW, RunState.COLLECTING),
    )
    assert b"epoch 1, epoch 2\n" == out
    assert [
        "  ! Half of the time is used. mlrun stop r",
        "· 3 of 4 files",
        "· collecting outputs",
    ] == err.splitlines()


def test_quiet_leaves_warnings_and_the_jobs_own_output(capfdbinary):
    out, err = told(
        capfdbinary, StateChanged("r", NOW, RunState.PREPARING), log(b"x\n"), Warned("r", NOW, "careful"), quiet=True
    )
    assert (b"x\n", "  ! careful\n") == (out, err)


def test_states_that_pass_in_milliseconds_and_samples_are_not_told(capfdbinary):
    quick = [
        RunState.PROVISIONING,
        RunState.CONNECTING,
        RunState.SYNCING,
        RunState.RUNNING,
        RunState.TERMINATING,
        RunState.FINISHED,
    ]
    assert (b"", "") == told(capfdbinary, *(StateChanged("r", NOW, state) for state in quick), Sampled("r", NOW, 1.0, 2.0))


def test_a_rented_machine_is_told_state_by_state_with_time_and_money(capfdbinary):
    attempt = Attempt(
        Label("7f3a2b9c1d", 2), "aws", "g4dn.xlarge", "us-east-1", "spot", 0.36, launched=NOW, offer={"zone": "us-east-1b"}
    )
    out, err = told(
        capfdbinary,
        AttemptStarted("r", NOW, attempt),
        StateChanged("r", NOW, RunState.PROVISIONING),
        StateChanged("r", NOW + 100, RunState.RUNNING),
        Sampled("r", NOW + 200, 1.0, 2.0),
        Sampled("r", NOW + 3600, 1.0, 2.0),
    )
    assert b"" == out
    assert [
        "· attempt 2: aws g4dn.xlarge us-east-1 us-east-1b, spot, $0.36 per hour with disk and address",
        "·  0:00  $0.00  creating the machine",
        "·  1:40  $0.01  starting the job",
        "· 1:00:00  $0.36  running",
    ] == err.splitlines()


def test_an_attempt_here_is_not_told(capfdbinary):
    here = Attempt(Label("7f3a2b9c1d"), "local", None)
    assert (b"", "") == told(capfdbinary, AttemptStarted("r", NOW, here), StateChanged("r", NOW, RunState.CONNECTING))


def test_words_of_a_warning_cannot_move_the_cursor(capfdbinary):
    assert "\x1b" not in told(capfdbinary, Warned("r", NOW, "a\x1b[2Jb"))[1]


def test_characters_that_are_split_over_pieces_are_told_whole(capfd):
    whole = "é日本語 ok\n".encode()
    listener = JsonLines()
    for offset, byte in enumerate(whole):
        listener(LogBytes("r", NOW, offset, bytes([byte])))
    listener(LogBytes("r", NOW, len(whole), b"end \xe6\x97"))
    listener.close()
    said = "".join(json.loads(line)["text"] for line in capfd.readouterr().out.splitlines())
    assert "é日本語 ok\nend \ufffd" == said


def test_where_nothing_was_made_nothing_is_given_back_and_ones_own_computer_is_cleared(capfdbinary):
    refused = Attempt(Label("7f3a2b9c1d"), "aws", "g4dn.xlarge", "us-east-1", "spot", 0.36)
    own = Attempt(Label("7f3a2b9c1d"), "ssh:desk", None)
    ends = [StateChanged("r", NOW, RunState.TERMINATING), StateChanged("r", NOW, RunState.FINISHED)]
    _, err = told(capfdbinary, AttemptStarted("r", NOW, refused), ends[0])
    assert ("nothing was made" in err, "giving" in err) == (True, False)
    _, err = told(capfdbinary, AttemptStarted("r", NOW, own), StateChanged("r", NOW, RunState.CONNECTING), *ends)
    assert ("booting" in err, "gone" in err, "cleared away, and that is confirmed" in err) == (False, False, True)


def test_a_machine_lent_by_another_run_is_not_said_to_be_gone(capfdbinary):
    lent = Attempt(Label("7f3a2b9c1d"), "aws", "g4dn.xlarge", "us-east-1", "held", 0.0)
    ends = [StateChanged("r", NOW, RunState.TERMINATING), StateChanged("r", NOW, RunState.FINISHED)]
    _, err = told(capfdbinary, AttemptStarted("r", NOW, lent), *ends)
    assert ("held by an earlier run" in err, "the machine stays as it is" in err) == (True, True)
    assert ("gone" in err, "$" in err) == (False, False)
