"""Results in S3: the role that writes them, what comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dispatcher.backends.aws import roles
from dispatcher.backends.aws.bucket import GONE, Bucket
from dispatcher.backends.aws.client import HOME, Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.domain.run import Label
from dispatcher.errors import CloudRefused, UsageError
from dispatcher.hosts.base import Entry
from dispatcher.overnight import kept
from dispatcher.overnight.base import Seen
from dispatcher.overnight.keeping import Kept, Place

OURS = "auto"
"""The bucket that `mlrun setup aws --overnight` makes in each region, and the role that may only write there."""
LAB_HOST = "http://169.254.169.254"
"""Where a host of the lab reaches the lab's AWS."""


class AwsResults:
    """Obeys overnight.keeping.Results. `role` is the profile that the user gives all machines; then it must be enough."""

    def __init__(self, account: Account, role: str | None = None) -> None:
        self.account, self.role = account, role

    def place(self, wish: str, region: str) -> Place:
        """Where results go, looked up: nothing is made. Raises CloudRefused with the command that makes what is lacking."""
        name, below = named(wish)
        if not name:
            return self._own(region)
        there = Bucket(self.account, HOME, name)
        try:
            region = there.home()
        except AwsFailure as failure:
            if failure.code in GONE:
                raise CloudRefused(f"This account has no bucket {name}", fix=f"aws s3 mb s3://{name}") from failure
            raise self.account.told(failure) from failure
        if self.role:
            return Place("aws", name, region, below, self.role, self.role)
        role = role_for(name, below)
        fix = f"mlrun setup aws --results {wish}"
        return Place("aws", name, region, below, role, roles.machine_role_id(self.account, role, fix))

    def told(self, place: Place, label: Label) -> dict[str, Any]:
        """What fetch.py on the machine must know: where it writes, and by whose name."""
        return {
            "label": str(label),
            "region": place.region,
            "account": self.account.identity()["Account"],
            "role": place.role_id,
            "bucket": place.bucket,
            "below": place.below,
            "endpoint": LAB_HOST if self._in_lab(place) else "",
        }

    def look(self, place: Place, label: Label) -> Kept | None:
        """What the attempt's machine wrote; None where it wrote nothing."""
        bucket = self._bucket(place)
        try:
            folder = kept.folder_of(bucket, f"{place.below}/{label}/".lstrip("/"))
            if not folder:
                return None
            said = [kept.said(bucket, folder, name) for name in ("outcome", "state", "partial", "checkpoint")]
        except AwsFailure as failure:
            if failure.code in GONE:
                return None
            raise self.account.told(failure) from failure
        outcome, state, partial, saved = said
        phase = "over" if outcome else "gone"
        return Kept(Seen(phase, place=folder, outcome=outcome, state=state, partial=partial), saved)

    def bring_log(self, place: Place, found: Kept, folder: Path) -> None:
        """Its output, and setup's, into a folder."""
        try:
            kept.bring_log(self._bucket(place), found.seen.place, folder)
        except AwsFailure as failure:
            raise self.account.told(failure) from failure

    def bring_files(self, place: Place, found: Kept, entries: Sequence[Entry], folder: Path) -> None:
        """Files, each verified before any has its name."""
        kept.bring_files(self._bucket(place), found.seen.place, "results", entries, folder)

    def _own(self, region: str) -> Place:
        bucket = Bucket(self.account, region)
        lacking = [f"the role {name}" for name in roles.lacking(self.account, [roles.KEEPER])]
        lacking += [] if bucket.there() else [f"the bucket {bucket.name}"]
        if lacking:
            fix = f"mlrun setup aws --overnight --region {region}"
            raise CloudRefused(f"The account lacks {' and '.join(lacking)}, which results need", fix=fix)
        role = self.role or roles.KEEPER
        return Place("aws", bucket.name, region, "out", role, self.role or roles.machine_role_id(self.account, roles.KEEPER))

    def _bucket(self, place: Place) -> Bucket:
        return Bucket(self.account, place.region, place.bucket)

    def _in_lab(self, place: Place) -> bool:
        self.account.client("s3", place.region)  # tells whether this is a lab
        return self.account.lab


def named(wish: str) -> tuple[str, str]:
    """Bucket and folder of a place; no bucket for `auto`. Raises UsageError for what machines could not write to."""
    if wish == OURS:
        return "", ""
    scheme, _, rest = wish.partition("://")
    name, _, below = rest.partition("/")
    if scheme != "s3":
        raise UsageError(f"{wish}: machines on AWS keep results on S3.", fix="results: s3://my-bucket/folder, or auto.")
    if "." in name:
        raise UsageError(f"{wish}: a bucket with a dot in its name has no certificate of Amazon's.", fix="Name another bucket.")
    return name, below.strip("/")


def role_for(bucket: str, below: str) -> str:
    """The name of the role whose machines may write below a folder."""
    return f"mlrun-results-{hashlib.sha256(f'{bucket}/{below}'.encode()).hexdigest()[:12]}"


def make(account: Account, wish: str) -> list[str]:
    """Have the role for a place; its name where it was made now."""
    name, below = named(wish)
    role = role_for(name, below)
    made = [] if roles.there(account, role) else [role]
    roles.have(account, role, roles.trust("ec2.amazonaws.com"), machine_policy(name, below), roles.KEEPS)
    roles.have_profile(account, role)
    return made


def remove(account: Account, wish: str) -> list[str]:
    """Take the role back; what stands in the bucket is the user's."""
    role = role_for(*named(wish))
    if not roles.there(account, role):
        return []
    roles.drop_profile(account, role)
    roles.drop(account, role)
    return [role]


def machine_policy(bucket: str, below: str) -> dict[str, Any]:
    """Write below its own machine's name, in that folder. It reads nothing, and lists nothing."""
    own = f"arn:aws:s3:::{bucket}/{f'{below}/' if below else ''}*/${{aws:userid}}/*"
    write = {"Sid": "WriteBelowItsOwnName", "Effect": "Allow", "Action": "s3:PutObject", "Resource": own}
    return {"Version": "2012-10-17", "Statement": [write]}


def user_policy(wish: str) -> dict[str, Any]:
    """What a user needs beside `mlrun setup aws --policy` to keep results there, and to bring them home."""
    bucket, below = named(wish)
    place, role = f"arn:aws:s3:::{bucket}", f"arn:aws:iam::*:role/{role_for(bucket, below)}"
    passed = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    rows: list[tuple[str, str, str, dict[str, Any]]] = [
        ("ReadResults", "s3:GetObject", f"{place}/{f'{below}/' if below else ''}*", {}),
        ("WhereItIs", "s3:GetBucketLocation", place, {}),
        ("ListResults", "s3:ListBucket", place, {"Condition": {"StringLike": {"s3:prefix": f"{below}/*" if below else "*"}}}),
        ("SeeTheRole", "iam:GetRole", role, {}),
        ("PassTheRole", "iam:PassRole", role, {"Condition": passed}),
    ]
    statements = [{"Sid": sid, "Effect": "Allow", "Action": action, "Resource": at} | more for sid, action, at, more in rows]
    return {"Version": "2012-10-17", "Statement": statements}
