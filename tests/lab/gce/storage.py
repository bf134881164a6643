"""Cloud Storage: buckets, their objects, what makes objects go by themselves."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.lab.clock import Clock
from tests.lab.gce.places import NUMBER
from tests.lab.gce.refusals import Refused
from tests.lab.gce.resource import Call, Handler, Links

DAY = 86400.0
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]")
OVERWRITES = "storage.objects.delete"


@dataclass
class Thing:
    """One object; its generation is the bucket's count of writes."""

    name: str
    content: bytes
    generation: int
    made: float
    kind: str = "application/octet-stream"


@dataclass
class Bucket:
    """`resource` is what its maker asked for, and what Google adds."""

    resource: dict[str, Any]
    objects: dict[str, Thing] = field(default_factory=dict)
    written: int = 0


class Storage:
    """`may` says whether a call's principal has a permission beside those that its method takes."""

    def __init__(self, clock: Clock, links: Links, may: Callable[[Call, str], None]) -> None:
        self._clock, self._links, self._may = clock, links, may
        self.known: dict[str, Bucket] = {}

    def handlers(self) -> dict[str, Handler]:
        buckets = (self.insert_bucket, self.get_bucket, self.list_bucket, self.delete_bucket)
        objects = (self.insert_object, self.get_object, self.list_object, self.delete_object)
        both = [*buckets, *objects]
        return {f"storage.{act.__name__.partition('_')[2]}s.{act.__name__.partition('_')[0]}": act for act in both}

    def clear(self) -> None:
        self.known.clear()

    def insert_bucket(self, call: Call) -> dict[str, Any]:
        name = str(call.body.get("name", ""))
        if not NAME.fullmatch(name):
            raise Refused(400, "invalid", f"Invalid bucket name: '{name}'")
        if name in self.known:
            text = "Your previous request to create the named bucket succeeded and you already own it."
            raise Refused(409, "conflict", text)
        access = call.body.get("iamConfiguration", {})
        if access.get("publicAccessPrevention", "inherited") not in ("inherited", "enforced"):
            raise Refused(400, "invalid", "publicAccessPrevention is either inherited or enforced.")
        own = {"kind": "storage#bucket", "id": name, "projectNumber": NUMBER, "timeCreated": self._stamp(self._clock.now())}
        link = f"{self._links.base}/storage/v1/b/{name}"
        plain = {"location": "US", "storageClass": "STANDARD", **call.body}
        self.known[name] = Bucket({**plain, **own, "location": plain["location"].upper(), "selfLink": link})
        return self.known[name].resource

    def get_bucket(self, call: Call) -> dict[str, Any]:
        return self._bucket(call).resource

    def list_bucket(self, call: Call) -> dict[str, Any]:
        start = call.query.get("prefix", "")
        found = [one.resource for name, one in sorted(self.known.items()) if name.startswith(start)]
        return {"kind": "storage#buckets", **({"items": found} if found else {})}

    def delete_bucket(self, call: Call) -> dict[str, Any]:
        if self._live(self._bucket(call)):
            raise Refused(409, "conflict", "The bucket you tried to delete is not empty.")
        del self.known[call.path["bucket"]]
        return {}

    def insert_object(self, call: Call) -> dict[str, Any]:
        """A whole object in one request; what is there already may be replaced by who may delete it."""
        bucket, name = self._bucket(call), call.query.get("name", "")
        if call.query.get("uploadType") != "media" or not name:
            raise Refused(400, "required", "Required parameter: name; the lab takes uploadType=media only.")
        there = self._live(bucket).get(name)
        self._meet(call, there)
        if there:
            self._may(call, OVERWRITES)
        bucket.written += 1
        bucket.objects[name] = Thing(name, call.raw, bucket.written, self._clock.now())
        return self._shown(call, bucket.objects[name])

    def get_object(self, call: Call) -> Any:
        """Its description, or with alt=media its bytes."""
        found = self._object(call)
        return found.content if call.query.get("alt") == "media" else self._shown(call, found)

    def list_object(self, call: Call) -> dict[str, Any]:
        start, many = call.query.get("prefix", ""), int(call.query.get("maxResults") or 1000)
        after = call.query.get("pageToken", "")
        named = sorted(self._live(self._bucket(call)).items())
        found = [one for name, one in named if name.startswith(start) and name > after]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if found:
            answer["items"] = [self._shown(call, one) for one in found[:many]]
        if len(found) > many:
            answer["nextPageToken"] = found[many - 1].name
        return answer

    def delete_object(self, call: Call) -> dict[str, Any]:
        self._meet(call, self._object(call))
        del self._bucket(call).objects[call.path["object"]]
        return {}

    def _bucket(self, call: Call) -> Bucket:
        found = self.known.get(call.path["bucket"])
        if found is None:
            raise Refused(404, "notFound", "The specified bucket does not exist.")
        return found

    def _object(self, call: Call) -> Thing:
        found = self._live(self._bucket(call)).get(call.path["object"])
        if found is None:
            raise Refused(404, "notFound", f"No such object: {call.path['bucket']}/{call.path['object']}")
        return found

    def _live(self, bucket: Bucket) -> dict[str, Thing]:
        """Its objects, without those that are old enough to be deleted."""
        ages = list(_ages(bucket.resource))
        if ages:
            least = self._clock.now() - min(ages) * DAY
            bucket.objects = {name: one for name, one in bucket.objects.items() if one.made > least}
        return bucket.objects

    @staticmethod
    def _meet(call: Call, there: Thing | None) -> None:
        wanted, now = call.query.get("ifGenerationMatch"), there.generation if there else 0
        if wanted is not None and int(wanted) != now:
            raise Refused(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")

    def _shown(self, call: Call, thing: Thing) -> dict[str, Any]:
        when = self._stamp(thing.made)
        bucket = call.path["bucket"]
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{thing.name}/{thing.generation}",
            "name": thing.name,
            "bucket": bucket,
            "generation": str(thing.generation),
            "size": str(len(thing.content)),
            "contentType": thing.kind,
            "md5Hash": base64.b64encode(hashlib.md5(thing.content, usedforsecurity=False).digest()).decode(),
            "timeCreated": when,
            "updated": when,
        }

    @staticmethod
    def _stamp(seconds: float) -> str:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ages(bucket: dict[str, Any]) -> Iterator[float]:
    for rule in bucket.get("lifecycle", {}).get("rule", ()):
        if rule.get("action", {}).get("type") == "Delete" and set(rule.get("condition", {})) == {"age"}:
            yield float(rule["condition"]["age"])
