"""The bucket that nights go through: private, encrypted, emptied by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dispatcher.backends.cloud.codes import telling
from dispatcher.backends.gcp.client import Account, reading
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.errors import SyncFailed

KEPT_DAYS = 30
CHUNK = 1 << 20
STORAGE = "https://storage.googleapis.com/storage/v1/b"
UPLOAD = "https://storage.googleapis.com/upload/storage/v1/b"
PREFIX = "mlrun-"


class Bucket:
    """One bucket of the project, in one region. Names are the world's: `there` asks for the project's own alone."""

    def __init__(self, account: Account, region: str) -> None:
        self.account, self.region = account, region
        self.name = f"{PREFIX}{account.project}-{region}"

    def there(self) -> bool:
        """Whether the project has it."""
        return self.name in _owned(self.account, self.name)

    def make(self) -> None:
        """Have it, as it must be from its first moment on."""
        access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
        wanted = {
            "name": self.name,
            "location": self.region,
            "iamConfiguration": access,
            "lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": KEPT_DAYS}}]},
            "softDeletePolicy": {"retentionDurationSeconds": "0"},
        }
        try:
            self.account.rest(STORAGE, "a bucket", wanted, project=self.account.project)
        except GcpFailure as failure:
            raise failure.told() from failure

    def remove(self) -> None:
        """Empty it, and delete it."""
        try:
            for one in list(self.objects("")):
                self._gone(self._object(one["Key"]))
            self._gone(f"{STORAGE}/{self.name}")
        except GcpFailure as failure:
            raise failure.told() from failure

    def put(self, key: str, body: bytes) -> None:
        """Write a small object."""
        self._send(key, body)

    def upload(self, key: str, file: Path) -> None:
        """Send a file in one piece."""
        try:
            with file.open("rb") as source:
                self._send(key, source)
        except GcpFailure as failure:
            text = f"The bundle could not be sent to gs://{self.name}: {failure.said}"
            raise SyncFailed(text, fix=failure.told().fix or "Try again.") from failure

    def read(self, key: str) -> bytes | None:
        """A small object, the newest where a machine could only write it anew; None where there is none. Raises GcpFailure."""
        found = self._read(key)
        if found is None and key.endswith(".json"):
            newest = [one["Key"] for one in self.objects(f"{key}.")]
            found = self._read(newest[-1]) if newest else None
        return found

    def stream(self, key: str) -> Iterator[bytes]:
        """An object, piece by piece."""
        try:
            answer = self.account.answer("GET", self._object(key), "an object", {"alt": "media"}, stream=True)
        except GcpFailure as failure:
            raise failure.told() from failure
        with telling(), reading("an object"):
            yield from answer.iter_content(CHUNK)

    def objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Every object below a prefix, by name. Raises GcpFailure."""
        url = f"{STORAGE}/{self.name}/o"
        for one in self.account.listed(url, "the bucket's objects", "items", {"prefix": prefix}):
            yield {"Key": str(one["name"]), "LastModified": datetime.fromisoformat(str(one["updated"]))}

    def _send(self, key: str, body: Any) -> None:
        asked = {"uploadType": "media", "name": key}
        self.account.answer("POST", f"{UPLOAD}/{self.name}/o", "an object", asked, data=body)

    def _read(self, key: str) -> bytes | None:
        try:
            return bytes(self.account.answer("GET", self._object(key), "an object", {"alt": "media"}).content)
        except GcpFailure as failure:
            if failure.kind is Kind.ABSENT and failure.said.startswith("No such object"):
                return None
            raise

    def _object(self, key: str) -> str:
        return f"{STORAGE}/{self.name}/o/{quote(key, safe='')}"

    def _gone(self, url: str) -> None:
        try:
            self.account.answer("DELETE", url, "the end of an object", {})
        except GcpFailure as failure:
            if failure.kind is not Kind.ABSENT:
                raise


def every(account: Account, regions: Iterable[str]) -> list[Bucket]:
    """Those that the project has in these regions."""
    known = _owned(account, f"{PREFIX}{account.project}-")
    return [one for one in (Bucket(account, region) for region in regions) if one.name in known]


def _owned(account: Account, start: str) -> list[str]:
    asked = {"project": account.project, "prefix": start}
    try:
        return [str(one["name"]) for one in account.listed(STORAGE, "the buckets", "items", asked)]
    except GcpFailure as failure:
        raise failure.told() from failure
