"""What an instance is told at 169.254.169.254: IMDS, versions 1 and 2."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from tests.lab.ec2.state import ACCOUNT, Instance, World, when
from tests.lab.seams import Reply

VERSIONS = ("1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2021-01-03", "2021-03-23", "latest")
Tree = dict[str, Any]


class InstanceMetadata:
    """One instance's metadata server. A tree's leaves are text; what is absent is 404.

    Signed requests are for the lab's AWS, which a host reaches at this address alone.
    """

    def __init__(self, world: World, one: Instance) -> None:
        self.world, self.one = world, one

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if "authorization" in headers or "Signature=" in path:
            return self.world.api(method, path, headers, body)
        path = path.partition("?")[0]
        if self.one.metadata.get("HttpEndpoint") == "disabled":
            return Reply(403)
        if method == "PUT" and path.rstrip("/") == "/latest/api/token":
            return self._token(headers)
        if method not in {"GET", "HEAD"}:
            return Reply(405)
        if not self._may(headers):
            return Reply(401)
        return self._find(path)

    def _token(self, headers: Mapping[str, str]) -> Reply:
        ttl = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if "x-forwarded-for" in headers:
            return Reply(403)
        if not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
            return Reply(400)
        token = secrets.token_urlsafe(40)
        self.one.sessions[token] = self.world.now() + int(ttl)
        return Reply(200, token.encode(), {"x-aws-ec2-metadata-token-ttl-seconds": ttl})

    def _may(self, headers: Mapping[str, str]) -> bool:
        token = headers.get("x-aws-ec2-metadata-token")
        if token is not None:
            return self.one.sessions.get(token, 0.0) > self.world.now()
        return self.one.metadata.get("HttpTokens") != "required"

    def _find(self, path: str) -> Reply:
        parts = [part for part in path.split("/") if part]
        if not parts:
            return _text("\n".join(VERSIONS))
        if parts[0] not in VERSIONS:
            return Reply(404)
        node: Any = self._tree()
        for part in parts[1:]:
            if not isinstance(node, dict) or part not in node:
                return Reply(404)
            node = node[part]
        node = node() if callable(node) else node
        if parts[1:] == ["meta-data", "public-keys"]:
            return _text(f"0={self.one.key}")
        return _text(_listing(node)) if isinstance(node, dict) else _text(node)

    def _tree(self) -> Tree:
        tree: Tree = {"dynamic": {"instance-identity": {"document": self._document()}}, "meta-data": self._meta_data()}
        if self.one.user_data:
            tree["user-data"] = self.one.user_data
        return tree

    def _document(self) -> str:
        one = self.one
        facts = {"accountId": ACCOUNT, "imageId": one.image, "instanceId": one.id, "instanceType": one.kind}
        place = {"availabilityZone": one.zone, "region": one.region, "privateIp": one.private, "version": "2017-09-30"}
        return json.dumps(facts | place, indent=2)

    def _meta_data(self) -> Tree:
        one = self.one
        host = "ip-" + one.private.replace(".", "-")
        domain = "ec2.internal" if one.region == "us-east-1" else f"{one.region}.compute.internal"
        mac = mac_of(one)
        names = "\n".join(group.name for key, group in self.world.region(one.region).groups.items() if key in one.groups)
        tree: Tree = {
            "ami-id": one.image,
            "ami-launch-index": "0",
            "hostname": f"{host}.{domain}",
            "instance-action": "none",
            "instance-id": one.id,
            "instance-life-cycle": one.market,
            "instance-type": one.kind,
            "local-hostname": f"{host}.{domain}",
            "local-ipv4": one.private,
            "mac": mac,
            "network": {"interfaces": {"macs": {mac: self._interface(mac)}}},
            "placement": {"availability-zone": one.zone, "region": one.region},
            "reservation-id": "r-" + one.id[2:],
            "security-groups": names,
            "services": {"domain": "amazonaws.com", "partition": "aws"},
        }
        if one.public:
            tree |= {
                "public-ipv4": one.address,
                "public-hostname": f"ec2-{one.address.replace('.', '-')}.compute.amazonaws.com",
            }
        return tree | self._when_there_are()

    def _interface(self, mac: str) -> Tree:
        one = self.one
        return {
            "device-number": "0",
            "interface-id": one.interface,
            "local-ipv4s": one.private,
            "mac": mac,
            "subnet-id": one.subnet,
        }

    def _when_there_are(self) -> Tree:
        one, tree = self.one, {}
        if one.key:
            kept = self.world.region(one.region).keys.get(one.key, {})
            tree["public-keys"] = {"0": {"openssh-key": kept.get("material", "")}}
        if one.metadata.get("InstanceMetadataTags") == "enabled":
            tree["tags"] = {"instance": dict(one.tags)}
        if one.notice:
            action = json.dumps({"action": "terminate", "time": one.notice})
            tree["spot"] = {"instance-action": action, "termination-time": one.notice}
        if one.rebalance:
            tree["events"] = {"recommendations": {"rebalance": json.dumps({"noticeTime": one.rebalance})}}
        if visitors := self._visitors():
            tree["managed-ssh-keys"] = {"active-keys": visitors}
        if one.profile:
            tree["iam"] = self._role()
        return tree

    def _visitors(self) -> dict[str, str]:
        """Keys sent by EC2 Instance Connect, while they live."""
        now = self.world.now()
        alive = {user: [key for until, key in keys if until > now] for user, keys in self.one.visitors.items()}
        return {user: "\n".join(keys) + "\n" for user, keys in alive.items() if keys}

    def _role(self) -> Tree:
        name = str(self.one.profile).rpartition("/")[2]
        info = {"Code": "Success", "InstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{name}"}
        return {"info": json.dumps(info), "security-credentials": {name: lambda: self._keys(name)}}

    def _keys(self, name: str) -> str:
        keys = self.world.role_keys(name, self.one.id)
        known = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": f"{when(self.world.now()):%Y-%m-%dT%H:%M:%SZ}"}
        return json.dumps({**known, **keys}, indent=2)


def mac_of(one: Instance) -> str:
    tail = one.interface[-10:]
    return "0a:" + ":".join(f"{ord(a) % 16:x}{ord(b) % 16:x}" for a, b in zip(tail[::2], tail[1::2], strict=True))


def _listing(node: Tree) -> str:
    return "\n".join(name + ("/" if isinstance(below, dict) else "") for name, below in node.items())


def _text(said: str | bytes) -> Reply:
    return Reply(200, said if isinstance(said, bytes) else said.encode(), {"content-type": "text/plain"})
