"""What `setup gcp` shows, makes and takes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dispatcher.cli.render.console import bold, document, good, say
from dispatcher.jobfile.settings import load_settings

if TYPE_CHECKING:
    from dispatcher.backends.gcp.client import Account

ROLE_HELP = "gcloud iam roles create mlrun --project {project} --file mlrun-role.yaml"
LACKS = "machines have no account to delete themselves with: after a job they wait for you, or for their limit, and cost"
PLAN = (
    "a role and a service account that may delete machines named mlrun-…, and nothing else, are to be made: they cost nothing"
)


def role() -> str:
    """The role that a user of mlrun needs."""
    from dispatcher.backends.gcp import standing

    return standing.role()


def make(agree: Callable[[str], None], *, as_json: bool) -> int:
    """Say what is missing, and make it."""
    from dispatcher.backends.cloud.standing import Standing
    from dispatcher.backends.gcp import standing

    account = _account()
    lacking = standing.missing(account)
    if not as_json:
        say(f"{bold('PROJECT')}   {account.project}, as {account.owner}")
        say(f"{bold('ROLE')}      mlrun setup gcp --role > mlrun-role.yaml")
        say(f"          {ROLE_HELP.format(project=account.project)}")
        say(f"{bold('ENDING')}    {LACKS if lacking else 'machines delete themselves when job and grace are over'}")
    made: list[Standing] = []
    if lacking:
        if not as_json:
            say(f"          {PLAN}")
        agree("Make them?")
        made = standing.make(account)
    if as_json:
        document({"schema": "1.0", "made": [{"kind": one.kind, "id": one.id} for one in made]})
        return 0
    for one in made:
        say(f"{good('✓')} {one.kind} {one.id}")
    say(f"Next: {bold('mlrun doctor')}; to remove it again: {bold('mlrun setup gcp --remove')}")
    return 0


def remove_all(agree: Callable[[str], None], *, as_json: bool) -> int:
    """Say what there is, and take it back."""
    from dispatcher.backends.gcp import standing

    account = _account()
    found = list(standing.standing(account))
    for one in () if as_json else found:
        say(f"· {one.kind} {one.id} in {account.project}")
    if found:
        agree("Remove them?")
        standing.remove(account)
    if as_json:
        document({"schema": "1.0", "removed": [{"kind": one.kind, "id": one.id} for one in found]})
    else:
        say(f"{good('✓')} Nothing of ours is left in {account.project}. The role, if you made one, is yours to remove.")
    return 0


def _account() -> Account:
    from dispatcher.backends.gcp.client import Account

    return Account(load_settings().gcp.project)
