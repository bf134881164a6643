"""The bucket that nights go through: private, encrypted, emptied by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dispatcher.backends.aws.client import HOME, Account, reading
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.cloud.codes import telling
from dispatcher.errors import SyncFailed

KEPT_DAYS = 30
CHUNK = 1 << 20
OLD_NAMES = {"EU": "eu-west-1"}
"""As S3 calls the regions of its oldest buckets; us-east-1 has no name there."""
GONE = ("NoSuchBucket", "404", "NoSuchKey", "NotFound")


class Bucket:
    """One bucket of the account, in one region: ours, unless it is named.

    Every call names the account: no stranger's bucket of that name will do.
    """

    def __init__(self, account: Account, region: str, name: str = "") -> None:
        self.account, self.region = account, region
        self.owner = account.identity()["Account"]
        self.name = name or f"mlrun-{self.owner}-{region}"

    def there(self) -> bool:
        """Whether it exists."""
        try:
            self._ask("head_bucket", "the bucket")
        except AwsFailure as failure:
            if failure.code in GONE:
                return False
            raise self.account.told(failure) from failure
        return True

    def home(self) -> str:
        """The region in which it stands: asked so that nobody needs leave to list all of it. Raises AwsFailure."""
        told = self._ask("get_bucket_location", "the bucket's region").get("LocationConstraint") or HOME
        return OLD_NAMES.get(str(told), str(told))

    def make(self) -> None:
        """Have it, and have it as it must be."""
        place: dict[str, Any] = (
            {} if self.region == HOME else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        )
        try:
            self.account.ask("s3", self.region, "create_bucket", "a bucket", Bucket=self.name, **place)
        except AwsFailure as failure:
            if failure.code != "BucketAlreadyOwnedByYou":
                raise self.account.told(failure) from failure
        shut = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
        self._call("put_public_access_block", "the bucket's privacy", PublicAccessBlockConfiguration=shut)
        kind = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        encrypted = {"Rules": [kind]}
        self._call("put_bucket_encryption", "the bucket's encryption", ServerSideEncryptionConfiguration=encrypted)
        self._call("put_bucket_lifecycle_configuration", "the bucket's expiry", LifecycleConfiguration={"Rules": _expiry()})

    def remove(self) -> None:
        """Empty it, and delete it."""
        try:
            for key in [one["Key"] for one in self.objects("")]:
                self._ask("delete_object", "an object", Key=key)
            self._ask("delete_bucket", "the bucket")
        except AwsFailure as failure:
            if failure.code not in GONE:
                raise self.account.told(failure) from failure

    def put(self, key: str, body: bytes) -> None:
        """Write a small object."""
        self._call("put_object", "an object", Key=key, Body=body)

    def upload(self, key: str, file: Path) -> None:
        """Send a file, in parts where it is large."""
        client = self.account.client("s3", self.region)
        try:
            client.upload_file(str(file), self.name, key, ExtraArgs={"ExpectedBucketOwner": self.owner})
        except Exception as error:
            if type(error).__module__.startswith(("boto3", "botocore", "s3transfer")):
                raise SyncFailed(f"The bundle could not be sent to s3://{self.name}: {error}", fix="Try again.") from error
            raise

    def read(self, key: str) -> bytes | None:
        """A small object; None where there is none. Raises AwsFailure for a bucket that is gone."""
        try:
            found = self._ask("get_object", "an object", Key=key)["Body"]
            with reading("an object", self.region):
                return bytes(found.read())
        except AwsFailure as failure:
            if failure.code == "NoSuchKey":
                return None
            raise

    def stream(self, key: str) -> Iterator[bytes]:
        """An object, piece by piece."""
        found = self._call("get_object", "an object", Key=key)["Body"]
        with telling(), reading("an object", self.region):
            yield from found.iter_chunks(CHUNK)

    def delete(self, key: str) -> None:
        """Remove an object, whether it is there or not."""
        self._call("delete_object", "an object", Key=key)

    def objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Every object below a prefix. Raises AwsFailure."""
        asked = {"Bucket": self.name, "Prefix": prefix, "ExpectedBucketOwner": self.owner}
        for page in self.account.ask_pages("s3", self.region, "list_objects_v2", "the bucket's objects", **asked):
            yield from page.get("Contents", ())

    def _ask(self, action: str, doing: str, **parameters: Any) -> dict[str, Any]:
        asked = {"Bucket": self.name, "ExpectedBucketOwner": self.owner, **parameters}
        return self.account.ask("s3", self.region, action, doing, **asked)

    def _call(self, action: str, doing: str, **parameters: Any) -> dict[str, Any]:
        try:
            return self._ask(action, doing, **parameters)
        except AwsFailure as failure:
            raise self.account.told(failure) from failure


def _expiry() -> list[dict[str, Any]]:
    """Everything goes after a month, uploads that were broken off after a day."""
    everything = {"ID": "mlrun-expires", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": KEPT_DAYS}}
    return [everything | {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]
