"""What `setup gcp --overnight` shows, makes and takes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dispatcher.cli.overnight import refuse_unfinished
from dispatcher.cli.render.console import bold, document, good, say, width
from dispatcher.cli.render.tables import wrapped
from dispatcher.jobfile.settings import load_settings

USUAL = "us-central1"
"""Where a bucket is made if nobody names a region."""
COLUMN = 10
APIS = " ".join(
    f"{name}.googleapis.com"
    for name in ("compute", "cloudscheduler", "storage", "secretmanager", "iam", "cloudresourcemanager")
)


def role() -> str:
    """What submitting nights takes beside the role that runs take."""
    from dispatcher import paths

    return (paths.templates_dir() / "gcp" / "overnight-role.yaml").read_text(encoding="utf-8")


def setup(regions: Sequence[str], agree: Callable[[str], None], *, as_json: bool) -> int:
    """Make the service accounts and the buckets that nights need, after asking."""
    from dispatcher.backends.gcp import nights_roles as roles
    from dispatcher.backends.gcp.client import Account
    from dispatcher.backends.gcp.nights_bucket import KEPT_DAYS, Bucket

    settings = load_settings().gcp
    account = Account(settings.project)
    buckets = [Bucket(account, region) for region in regions or settings.regions or (USUAL,)]
    missing = [one for one in buckets if not one.there()]
    lacking = roles.lacking(account)
    unbound = [] if lacking else list(roles.unbound(account))
    wanted = [f"service account {name}" for name in lacking] + [f"binding of {name}" for name in unbound]
    wanted += [f"bucket {one.name} in {one.region}" for one in missing]
    if not as_json:
        may = f"reads its bundle and secrets named {roles.SECRETS}…, writes results, deletes machines of mlrun's, and triggers"
        _row("PROJECT", f"{account.project}, as {account.owner}")
        _row("ACCOUNTS", f"{roles.MACHINE}: {may}")
        _row("", f"{roles.SCHEDULER}: makes machines, and passes them that account")
        _row("BUCKETS", f"private, encrypted, everything in them goes after {KEPT_DAYS} days")
        _row("NEEDS", f"gcloud services enable {APIS}")
        for one in wanted:
            say(f"· to be made: {one}")
    if wanted:
        agree("Make them?")
    made = []
    if lacking or unbound:
        made = [f"service account {name}" for name in roles.make(account)]
    for bucket in missing:
        bucket.make()
        made.append(f"bucket {bucket.name}")
    if as_json:
        document({"schema": "1.0", "made": made})
    else:
        say(f"{good('✓')} {', '.join(made) or 'Nothing was missing'}. Next: {bold('mlrun JOB --at 23:00 --where gcp')}")
    return 0


def take_back(regions: Sequence[str], agree: Callable[[str], None], *, as_json: bool) -> int:
    """Remove service accounts, their roles and buckets; refused while a trigger stands, or a night is not home."""
    from dispatcher import catalog
    from dispatcher.backends.gcp import nights_roles as roles
    from dispatcher.backends.gcp.client import Account
    from dispatcher.backends.gcp.nights_bucket import every

    refuse_unfinished("gcp")
    account = Account(load_settings().gcp.project)
    buckets = list(every(account, regions or catalog.regions("gcp")))
    what = [*(f"bucket {one.name} and everything in it" for one in buckets), "both service accounts and their roles"]
    agree(f"Remove {', '.join(what)}?")
    for one in buckets:
        one.remove()
    gone = [*(one.name for one in buckets), *roles.remove(account)]
    if as_json:
        document({"schema": "1.0", "removed": gone})
    else:
        say(f"{good('✓')} removed: {', '.join(gone) or 'nothing was there'}")
    return 0


def _row(head: str, text: str) -> None:
    indent = " " * COLUMN
    first, *others = wrapped(indent + text, width(), indent)
    say("\n".join([bold(head) + first[len(head) :], *others]))
