"""Public images and their families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.lab.gce.filters import chosen
from tests.lab.gce.refusals import not_found
from tests.lab.gce.resource import Call, Links, page, tail
from tests.lab.gce.settings import Settings

FAMILIES = (
    ("deeplearning-platform-release", "common-cu129-ubuntu-2404-nvidia-580", "X86_64", 50),
    ("deeplearning-platform-release", "common-cu129-ubuntu-2204-nvidia-580", "X86_64", 50),
    ("deeplearning-platform-release", "common-cu128-ubuntu-2204-nvidia-570", "X86_64", 50),
    ("deeplearning-platform-release", "common-cpu", "X86_64", 30),
    ("ubuntu-os-cloud", "ubuntu-2404-lts-amd64", "X86_64", 10),
    ("ubuntu-os-cloud", "ubuntu-2404-lts-arm64", "ARM64", 10),
    ("ubuntu-os-cloud", "ubuntu-2204-lts", "X86_64", 10),
    ("debian-cloud", "debian-12", "X86_64", 10),
)
DATES = ("v20260801", "v20261015")
"""Two images of each family; the older is deprecated."""


class Images:
    """A family names its newest image, until it dies."""

    def __init__(self, links: Links, settings: Settings) -> None:
        self._links, self._settings = links, settings

    def handlers(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {"images.getFromFamily": self.family, "images.get": self.get, "images.list": self.list}

    def family(self, call: Call) -> dict[str, Any]:
        wanted = call.path["family"]
        here = [one for one in self._all(call.project) if one["family"] == wanted and "deprecated" not in one]
        if not here:
            raise not_found(f"projects/{call.project}/global/images/family/{wanted}")
        return here[-1]

    def get(self, call: Call) -> dict[str, Any]:
        for one in self._all(call.project):
            if one["name"] == call.path["image"]:
                return one
        raise not_found(f"projects/{call.project}/global/images/{call.path['image']}")

    def list(self, call: Call) -> dict[str, Any]:
        return page("imageList", chosen(self._all(call.project), call.query), call)

    def resolve(self, link: str) -> dict[str, Any]:
        """The image behind the link of an image or of a family."""
        parts = link.split("projects/")[-1].split("/")
        if len(parts) < 4 or parts[1:3] != ["global", "images"]:
            raise not_found(link)
        if parts[3] == "family":
            return self.family(Call("images.getFromFamily", {"project": parts[0], "family": parts[-1]}))
        return self.get(Call("images.get", {"project": parts[0], "image": tail(link)}))

    def _all(self, project: str) -> list[dict[str, Any]]:
        dead = self._settings.dead_families
        return [
            self._image(*family, date)
            for family in FAMILIES
            for date in DATES
            if family[0] == project and family[1] not in dead
        ]

    def _image(self, project: str, family: str, arch: str, size: int, date: str) -> dict[str, Any]:
        name = f"{family}-{date}"
        image = {
            "kind": "compute#image",
            "id": str(abs(hash(name)) % 10**18),
            "name": name,
            "family": family,
            "architecture": arch,
            "diskSizeGb": str(size),
            "status": "READY",
            "creationTimestamp": f"{date[1:5]}-{date[5:7]}-{date[7:]}T00:00:00.000-08:00",
            "selfLink": self._links.to(project, f"global/images/{name}"),
        }
        return image if date == DATES[-1] else {**image, "deprecated": {"state": "DEPRECATED"}}
