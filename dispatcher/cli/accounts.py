"""`setup aws`, `setup gcp` and `catalog refresh`."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from dispatcher.cli.render.console import bold, caution, dim, document, good, say
from dispatcher.cli.runs import AS_JSON
from dispatcher.errors import Cancelled, LoginNeeded, MlrunError, UsageError
from dispatcher.jobfile.settings import Aws, load_settings

if TYPE_CHECKING:
    from dispatcher.backends.aws.client import Account
    from dispatcher.backends.cloud.standing import Standing
    from dispatcher.catalog.refreshed import Refreshed

POLICY_HELP = "aws iam create-policy --policy-name mlrun --policy-document file://mlrun-policy.json"
REGION = click.option(
    "--region", "regions", multiple=True, help="One region, or several times this; else those of the settings."
)
LACKS = {
    "": "nothing is missing",
    "group": "a security group is to be made: it lets nobody in by itself, and costs nothing",
    "network": "a default network and a security group are to be made: they cost nothing",
}
AMAZONS = re.compile(r"-\d+$")
"""us-east-1 is a region of Amazon's, us-east1 one of Google's."""
YES = click.option("-y", "--yes", is_flag=True, help="Ask nothing.")


@click.group()
def setup() -> None:
    """What a cloud account needs once."""


@setup.command("aws")
@REGION
@click.option("--remove", is_flag=True, help="Take back what was made: the groups that let runs' callers in.")
@click.option(
    "--policy", is_flag=True, help="Print only the policy that a user of mlrun needs, of this or of what is named beside."
)
@click.option("--reaper", is_flag=True, help="What ends machines that hang: a schedule and one small function.")
@click.option("--results", "place", metavar="s3://…", help="The role with which machines keep results there, and only there.")
@click.option("--overnight", is_flag=True, help="What runs need that AWS starts by itself: roles, a bucket in a region.")
@YES
@AS_JSON
def setup_aws(
    regions: tuple[str, ...],
    *,
    remove: bool,
    policy: bool,
    reaper: bool,
    place: str | None,
    overnight: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Show what AWS needs once, make it after asking, or remove it.

    \b
      mlrun setup aws --policy > mlrun-policy.json
      mlrun setup aws --region us-east-1
      mlrun setup aws --reaper
      mlrun setup aws --overnight --region us-east-1
      mlrun setup aws --results s3://my-bucket/pets
      mlrun setup aws --remove
    """
    from dispatcher.backends.aws import standing
    from dispatcher.backends.aws.client import Account

    if place:
        from dispatcher.cli import keeping

        def agree(question: str) -> None:
            _agree(question, yes=yes, as_json=as_json)

        return keeping.setup(place, agree, remove=remove, policy=policy, as_json=as_json)
    if overnight and not policy:
        from dispatcher.cli import overnight as nights

        act = nights.take_back if remove else nights.setup
        return act(regions, lambda question: _agree(question, yes=yes, as_json=as_json), as_json=as_json)
    if policy:
        say(standing.policy("overnight" if overnight else "schedules" if reaper else "policy"), to_stdout=True, nl=False)
        return 0
    settings = load_settings().aws
    account = Account(settings.profile)
    if reaper:
        from dispatcher.cli import reaping

        reap = reaping.disarm if remove else reaping.arm
        return reap(account, lambda question: _agree(question, yes=yes, as_json=as_json), as_json=as_json)
    who = account.identity()["Arn"]
    if remove:
        return _remove_aws(account, regions or settings.regions or account.regions(), yes=yes, as_json=as_json)
    return _make_aws(account, who, settings, regions, yes=yes, as_json=as_json)


def _make_aws(account: Account, who: str, settings: Aws, regions: tuple[str, ...], *, yes: bool, as_json: bool) -> int:
    from dispatcher.backends.aws import standing
    from dispatcher.doctor.aws import region_of

    chosen = regions or settings.regions or (region_of(settings, account),)
    lacking = {region: standing.missing(account, region, settings.subnet) for region in chosen}
    if not as_json:
        say(f"{bold('WHO')}       {who}")
        say(f"{bold('POLICY')}    mlrun setup aws --policy > mlrun-policy.json")
        say(f"          {POLICY_HELP}")
        for region, what in lacking.items():
            say(f"{bold(region)}  {LACKS[what]}")
    if not any(lacking.values()):
        return _made([], as_json=as_json)
    _agree("Make what is missing?", yes=yes, as_json=as_json)
    made = [one for region, what in lacking.items() if what for one in standing.make(account, region, settings.subnet)]
    return _made([{"kind": one.kind, "id": one.id, "region": one.region} for one in made], as_json=as_json)


def _made(made: list[dict[str, str]], *, as_json: bool) -> int:
    if as_json:
        document({"schema": "1.0", "made": made})
    for one in () if as_json else made:
        say(f"{good('✓')} {one['kind']} {one['id']} in {one['region']}")
    if not as_json:
        say(f"Next: {bold('mlrun doctor')}; to remove it again: {bold('mlrun setup aws --remove')}")
    return 0


def _remove_aws(account: Account, regions: tuple[str, ...], *, yes: bool, as_json: bool) -> int:
    from dispatcher.backends.aws import reaper, standing

    found = list(standing.standing(account, regions))
    if found:
        for one in () if as_json else found:
            say(f"· security {one.kind} {one.id} in {one.region}")
        _agree("Remove them?", yes=yes, as_json=as_json)
    reaps = reaper.armed(account)
    more, unseen = _others(account)
    kept = [one for one in found if not standing.remove(account, one)]
    rows = [{"kind": one.kind, "id": one.id, "region": one.region, "removed": one not in kept} for one in found]
    if as_json:
        beside = [{"kind": one.kind, "id": one.id, "remove": fix} for one, fix in more]
        document({"schema": "1.0", "removed": rows, "standing": beside, "not_looked_at": unseen})
    else:
        for one in kept:
            say(f"{caution('!')} {one.id} in {one.region} is in use by a machine: mlrun sweep, then this again")
        if reaps:
            say(f"{caution('!')} The reaper stays, and watches on: mlrun setup aws --reaper --remove")
        for one, fix in more:
            say(f"{caution('!')} The {one.kind} {one.id} stays: {fix}")
        if unseen:
            say(f"{caution('!')} Whether roles and buckets of ours stand is not known: {unseen}")
        if not (kept or reaps or more or unseen):
            say(f"{good('✓')} Nothing of ours is left in this account. The policy, if you made one, is yours to remove.")
    return 1 if kept else 0


def _others(account: Account) -> tuple[list[tuple[Standing, str]], str]:
    """What other commands made, each with the one that takes it back; or why it cannot be seen."""
    from dispatcher.backends.aws import standing

    try:
        return standing.others(account), ""
    except MlrunError as error:
        return [], error.message


def _agree(question: str, *, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise UsageError("This changes the account, and nobody is here to be asked.", fix="Add --yes")
    if not click.confirm(question, err=True):
        raise Cancelled("Nothing was changed.")


@setup.command("gcp")
@click.option("--remove", is_flag=True, help="Take back what was made.")
@click.option("--role", "role_only", is_flag=True, help="Print only the role that a user of mlrun needs, of this or of nights.")
@click.option(
    "--overnight", is_flag=True, help="What runs need that Google starts by itself: two accounts, a bucket in a region."
)
@REGION
@YES
@AS_JSON
def setup_gcp(regions: tuple[str, ...], *, remove: bool, role_only: bool, overnight: bool, yes: bool, as_json: bool) -> int:
    """Show what a Google Cloud project needs once, make it after asking, or remove it.

    \b
      mlrun setup gcp --role > mlrun-role.yaml
      mlrun setup gcp
      mlrun setup gcp --overnight --region us-central1
      mlrun setup gcp --remove
    """
    from dispatcher.cli import overnight_gcp as nights
    from dispatcher.cli.google import make, remove_all, role

    if role_only:
        say(nights.role() if overnight else role(), to_stdout=True, nl=False)
        return 0

    def agree(question: str) -> None:
        _agree(question, yes=yes, as_json=as_json)

    if overnight:
        return (nights.take_back if remove else nights.setup)(regions, agree, as_json=as_json)
    return remove_all(agree, as_json=as_json) if remove else make(agree, as_json=as_json)


def refresh_prices(regions: tuple[str, ...], *, as_json: bool) -> int:
    """Read the clouds' own prices into the cache, past the catalog's guards, and say what came of it."""
    google = tuple(one for one in regions if not AMAZONS.search(one))
    amazon = tuple(one for one in regions if AMAZONS.search(one))
    readers = (_aws_prices, amazon), (_gcp_prices, google)
    read = [one for look, named in readers if (named or not regions) and (one := look(named))]
    if not read:
        raise LoginNeeded("Prices are read with an account, and there is none here", fix="mlrun doctor")
    if as_json:
        document({"schema": "1.0", "refreshed": [_told(*one) for one in read]})
    for where, result in () if as_json else read:
        _show(where, result)
    return 0 if all(result.kept for _, result in read) else MlrunError.exit_code


def _aws_prices(regions: tuple[str, ...]) -> tuple[str, Refreshed] | None:
    from dispatcher.backends.aws.client import Account
    from dispatcher.backends.aws.listing import live_quotes
    from dispatcher.catalog.refreshed import keep

    settings = load_settings().aws
    account = Account(settings.profile)
    if not account.signed_in():
        return None
    quotes, silent = live_quotes(account, regions or settings.regions)
    result = keep("aws", quotes, datetime.now(UTC).date().isoformat())
    result.silent = silent
    return "aws", result


def _gcp_prices(regions: tuple[str, ...]) -> tuple[str, Refreshed] | None:
    from dispatcher.backends.gcp.client import Account
    from dispatcher.backends.gcp.listing import live_quotes
    from dispatcher.catalog.refreshed import keep

    settings = load_settings().gcp
    account = Account(settings.project)
    if not account.has_credentials():
        return None
    quotes, silent = live_quotes(account, regions or settings.regions)
    result = keep("gcp", quotes, datetime.now(UTC).date().isoformat())
    result.silent = silent
    return "gcp", result


def _told(where: str, result: Refreshed) -> dict[str, object]:
    counts = {"kept": result.kept, "changed": result.changed, "refused": result.refused}
    return {"where": where, **counts, "silent": result.silent}


def _show(where: str, result: Refreshed) -> None:
    say(f"{good('✓')} {where}: {result.kept} prices, {result.changed} of them new; {dim(str(result.file))}", to_stdout=True)
    for region, why in result.silent.items():
        say(f"{caution('!')} {region} did not answer, and keeps its prices: {why}")
    if result.refused:
        more = f"; and {len(result.refused) - 3} more" if len(result.refused) > 3 else ""
        say(f"{caution('!')} {len(result.refused)} refused: {'; '.join(result.refused[:3])}{more}")
