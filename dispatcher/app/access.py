"""Which clouds can be used: credentials are looked for, not tried."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dispatcher.doctor import credentials
from dispatcher.jobfile.settings import Settings

CLOUDS = ("aws", "gcp")
NO_ACCOUNT = "needs an account"


def closed(settings: Settings, environ: Mapping[str, str] | None = None, home: Path | None = None) -> dict[str, str]:
    """Clouds that can only be priced, and why. Files and variables are read; no library of a cloud is loaded."""
    environ, home = os.environ if environ is None else environ, home or Path.home()
    profile = settings.aws.profile
    aws = environ if not profile or environ.get("AWS_ACCESS_KEY_ID") else {**environ, "AWS_PROFILE": profile}
    found = {"aws": credentials.aws(aws, home), "gcp": credentials.gcp(environ, home)}
    if environ.get("DISPATCHER_GCP_ENDPOINT"):
        found.pop("gcp")
    return {cloud: NO_ACCOUNT if one.level == "note" else one.message for cloud, one in found.items() if one.level != "ok"}


def usable(settings: Settings) -> tuple[str, ...]:
    """Clouds with credentials."""
    shut = closed(settings)
    return tuple(cloud for cloud in CLOUDS if cloud not in shut)
