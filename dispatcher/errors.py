"""Every error a user can meet, with its exit code.

    MlrunError                     70  (only subclasses are raised)
    ├── UsageError                  2  the command line is wrong
    │   └── RunBusy                    … for now: another mlrun drives this run
    ├── JobFileError              100  the job file or settings are invalid; carries `problems`
    ├── UnknownError              100  a value that the planner needs is nowhere to be found
    ├── NothingFits               101  no machine fits, or over budget or deadline
    ├── LoginNeeded               102  credentials are missing or expired
    ├── CloudRefused              103  the provider said no
    │   ├── NoCapacity                 … here and now: try the next offer
    │   └── Quota                      … to this account: try the next offer
    ├── HostError                 104  a computer cannot be reached, written to or prepared
    │   ├── HostUnreachable
    │   ├── HostKeyMismatch            … it shows another key than the one pinned: nothing was sent
    │   ├── SyncFailed
    │   ├── SetupFailed
    │   └── RecordUnusable             … the record of runs cannot be read or written: jobs go on without it
    │       └── RecordDamaged             … what stands in it is no database any more
    ├── LimitReached              105  stopped by a time or cost limit
    ├── OutcomeUnknown            106  the job's outcome cannot be learned, and is not guessed
    ├── TeardownUnconfirmed       107  something may still cost money; outranks every other
    ├── Preempted                 108  the provider took the machine back, retries are spent
    └── Cancelled                 130  the user said stop

A message says what happened, to what, and what it means for money; `fix` is the next command to type.
"""

from __future__ import annotations

from dataclasses import dataclass


class MlrunError(Exception):
    """An error with a message for people, a fix, and the exit code that scripts read."""

    exit_code = 70

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class UsageError(MlrunError):
    """The command line is wrong."""

    exit_code = 2


class RunBusy(UsageError):
    """Another mlrun drives this run."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file: where it stands, what it is, and how to mend it.

    `line` and `column` count from 1; 0 where the place is unknown. `source` is the text of that line, `width` the number of
    characters to underline.
    """

    message: str
    fix: str = ""
    line: int = 0
    column: int = 0
    width: int = 1
    source: str = ""
    path: str = ""


class JobFileError(MlrunError):
    """The job file or the settings are invalid; `problems` holds all of them, in file order."""

    exit_code = 100

    def __init__(self, file: str, problems: list[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{file} has {count}")
        self.file = file
        self.problems = problems


class UnknownError(MlrunError):
    """A value that the planner needs is not stated, and is not guessed."""

    exit_code = 100


class NothingFits(MlrunError):
    """No machine fits the job, or none within its budget or deadline."""

    exit_code = 101


class LoginNeeded(MlrunError):
    """Credentials are missing, wrong or expired."""

    exit_code = 102


class CloudRefused(MlrunError):
    """The provider refused."""

    exit_code = 103


class NoCapacity(CloudRefused):
    """The provider has no such machine free at this place now."""


class Quota(CloudRefused):
    """The account may not have such a machine."""


class HostError(MlrunError):
    """A computer cannot be reached, written to or prepared."""

    exit_code = 104


class HostUnreachable(HostError):
    """A computer does not answer."""


class HostKeyMismatch(HostError):
    """A computer shows another host key than the one it should have."""


class SyncFailed(HostError):
    """Files could not be sent, or outputs not be brought home."""


class SetupFailed(HostError):
    """The job's `setup` ended with an error."""


class RecordUnusable(HostError):
    """The record of runs cannot be read or written; jobs that run are left alone."""


class RecordDamaged(RecordUnusable):
    """What stands in the record of runs makes no sense."""


class LimitReached(MlrunError):
    """A time or cost limit stopped the job."""

    exit_code = 105


class OutcomeUnknown(MlrunError):
    """Nobody is left who knows how the job ended."""

    exit_code = 106


class TeardownUnconfirmed(MlrunError):
    """Something this run made may still exist and cost money."""

    exit_code = 107


class Preempted(MlrunError):
    """The provider took the machine back and no retries are left."""

    exit_code = 108


class Cancelled(MlrunError):
    """The user cancelled."""

    exit_code = 130
