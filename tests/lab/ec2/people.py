"""Who may call: the account's keys, users with policies, and roles of instances."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.state import ACCOUNT, Principal, World, when

ADMIN, ADMIN_SECRET = "AKIALABADMIN00000000", "lab-secret-of-the-admin"
ROLE_HOURS = 6


class People:
    """Principals by access key."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.forget()

    def forget(self) -> None:
        arn = f"arn:aws:iam::{ACCOUNT}:user/admin"
        self.known = {ADMIN: Principal("admin", "AIDALABADMIN", arn, ADMIN_SECRET)}

    def add(self, name: str, policies: Sequence[Mapping[str, Any]], expires: float | None = None) -> dict[str, str]:
        """A user who may do what the policies say; temporary credentials where they expire. The variables to be that user."""
        key = f"{'ASIA' if expires else 'AKIA'}LAB{secrets.token_hex(6).upper()}"
        arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
        person = Principal(name, "AIDALAB" + name.upper(), arn, secrets.token_hex(16), None, list(policies), expires)
        person.session = secrets.token_hex(16) if expires else None
        self.known[key] = person
        variables = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": person.secret}
        return variables | ({"AWS_SESSION_TOKEN": person.session} if person.session else {})

    def find(self, key: str, service: str) -> Principal:
        if not key:
            raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token")
        person = self.known.get(key)
        if person is None:
            raise AwsError("AuthFailure" if service == "ec2" else "InvalidClientTokenId")
        if person.expires is not None and person.expires <= self.world.now():
            raise AwsError("RequestExpired" if service == "ec2" else "ExpiredToken")
        return person

    def role_keys(self, profile: str, instance: str) -> dict[str, str]:
        """What the metadata server gives an instance with this profile."""
        role = _role_of(profile)
        expires = self.world.now() + ROLE_HOURS * 3600
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.name if role else profile}/{instance}"
        key = f"ASIALAB{secrets.token_hex(6).upper()}"
        name, secret, session = f"{role.id if role else 'AROALAB'}:{instance}", secrets.token_hex(16), secrets.token_hex(16)
        person = Principal(profile, name, arn, secret, session, policies_of(role), expires)
        self.known[key] = person
        names = {"AccessKeyId": key, "SecretAccessKey": person.secret, "Token": str(person.session)}
        return names | {"Expiration": f"{when(expires):%Y-%m-%dT%H:%M:%SZ}"}


def role_of(profile: str) -> str | None:
    """The role in this instance profile, where somebody made one."""
    role = _role_of(profile)
    return role.name if role else None


def _role_of(profile: str) -> Any:
    from moto.iam.models import iam_backends

    kept = iam_backends[ACCOUNT]["aws"].instance_profiles.values()
    found = next((one for one in kept if one.name == profile), None)
    return found.roles[0] if found is not None and found.roles else None


def policies_of(role: Any) -> list[Mapping[str, Any]]:
    """What a role may do."""
    import json

    if role is None:
        return []
    inline = [json.loads(text) for text in role.policies.values()]
    return inline + [json.loads(policy.document) for policy in role.managed_policies.values()]
