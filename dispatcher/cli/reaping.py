"""`setup aws --reaper`: what ends machines that nobody else ends."""

from __future__ import annotations

from collections.abc import Callable

from dispatcher.backends.aws import reaper
from dispatcher.backends.aws.client import HOME, Account
from dispatcher.backends.cloud.standing import Standing
from dispatcher.cli.render.console import bold, document, good, say

ABOUT = """\
A schedule in {home} calls a small function every ten minutes. It looks into every region and ends machines that carry
mlrun-max-seconds and are older than that: whoever made them, also where they hang. It may do nothing else. A role beside
it lets each machine that you start have a schedule of its own, which ends it at its limit. AWS charges nothing for all
this within its free tier, and cents a month beyond. Whoever starts machines needs leave to set such schedules:
mlrun setup aws --reaper --policy"""


def arm(account: Account, agree: Callable[[str], None], *, as_json: bool) -> int:
    """Show what it is, make it after asking, or bring it up to date."""
    there = reaper.armed(account)
    if not as_json:
        say(f"{bold('WHO')}       {account.identity()['Arn']}")
        say(ABOUT.format(home=HOME))
    agree("Bring it up to date?" if there else "Make three roles, the function and its schedule?")
    return _told("made", reaper.make(account), as_json=as_json, after="to remove it again: mlrun setup aws --reaper --remove")


def disarm(account: Account, agree: Callable[[str], None], *, as_json: bool) -> int:
    """Take it back after asking."""
    agree("Remove the reaper? Machines that hang are then ended by nobody but you.")
    return _told("removed", reaper.remove(account), as_json=as_json, after="nothing of the reaper is left")


def _told(word: str, found: list[Standing], *, as_json: bool, after: str) -> int:
    if as_json:
        document({"schema": "1.0", word: [{"kind": one.kind, "id": one.id, "region": one.region} for one in found]})
        return 0
    for one in found:
        say(f"{good('✓')} {word} {one.kind} {one.id}")
    say(f"{good('✓')} {after}")
    return 0
