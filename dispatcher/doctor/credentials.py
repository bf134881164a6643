"""Whether cloud credentials are here: files and variables only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from dispatcher.doctor.check import Check

AWS_FIX = "aws configure sso, or aws configure"
GCP_FIX = "gcloud auth application-default login"
NOT_NEEDED = "only needed to rent machines there"


def credential_checks(environ: Mapping[str, str], home: Path) -> Iterator[Check]:
    """One finding for each cloud."""
    yield aws(environ, home)
    yield gcp(environ, home)


def aws(environ: Mapping[str, str], home: Path) -> Check:
    """Amazon's usual places, in the order its tools read them."""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if bool(key) != bool(secret):
        fix = "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither"
        return Check("aws", "warning", "Half of AWS's credentials are in the environment.", fix)
    if key:
        return Check("aws", "ok", "AWS credentials are in the environment.")
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") or environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return Check("aws", "ok", "AWS credentials come from this computer's role.")
    profiles = _profiles(environ, home)
    wanted = environ.get("AWS_PROFILE", "")
    if wanted and wanted not in profiles:
        have = f" It has: {', '.join(sorted(profiles))}." if profiles else ""
        return Check(
            "aws", "warning", f"AWS_PROFILE is {wanted}, which no AWS file holds.{have}", f"aws configure --profile {wanted}"
        )
    if profiles:
        return Check("aws", "ok", f"AWS profiles: {', '.join(sorted(profiles))}. Whether they still work is asked when needed.")
    return Check("aws", "note", f"No AWS credentials; {NOT_NEEDED}.", AWS_FIX)


def gcp(environ: Mapping[str, str], home: Path) -> Check:
    """Google's application default credentials."""
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    folder = Path(environ.get("CLOUDSDK_CONFIG") or home / ".config/gcloud")
    file = Path(named) if named else folder / "application_default_credentials.json"
    if named and not file.is_file():
        message = f"GOOGLE_APPLICATION_CREDENTIALS names {named}, which does not exist."
        return Check("gcp", "warning", message, "unset GOOGLE_APPLICATION_CREDENTIALS, or mend its path")
    if not file.is_file():
        return Check("gcp", "note", f"No Google Cloud credentials; {NOT_NEEDED}.", GCP_FIX)
    try:
        kind = json.loads(file.read_text(encoding="utf-8")).get("type", "")
    except (OSError, ValueError, AttributeError):
        return Check("gcp", "warning", f"Google Cloud's credentials in {file} cannot be read.", GCP_FIX)
    return Check("gcp", "ok", f"Google Cloud credentials are here ({kind or 'kind unknown'}).")


def _profiles(environ: Mapping[str, str], home: Path) -> set[str]:
    """Names of the profiles that can log in; a section that only sets a region cannot."""
    keys = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials")
    config = Path(environ.get("AWS_CONFIG_FILE") or home / ".aws/config")
    found = {name for name, options in _sections(keys).items() if "aws_access_key_id" in options}
    logins = {"sso_session", "sso_start_url", "role_arn", "credential_process", "aws_access_key_id", "login_session"}
    return found | {name.removeprefix("profile ") for name, options in _sections(config).items() if logins & options}


def _sections(file: Path) -> dict[str, set[str]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    import configparser  # every plan asks, and most computers have no such file

    reader = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        reader.read_string(text)
    except (ValueError, configparser.Error):
        return {}
    return {name: set(reader.options(name)) for name in reader.sections() if not name.startswith("sso-session ")}
