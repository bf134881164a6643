"""Listens whether the provider takes the machine back.

python3 notices.py FOLDER aws|gcp [ADDRESS SECONDS]. When it does, FOLDER gets a notice and a file `taken`. It ends then, and
when its input does.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any, List, Optional

from files import append, touch  # type: ignore[import-not-found]
from gauge import spawn  # type: ignore[import-not-found]

METADATA = "169.254.169.254"
POLL_SECONDS, ANSWER_SECONDS = 5.0, 2.0
TOKEN_SECONDS = 21600
TAKEN = "taken"


class Notices:
    """The listener of an attempt on a rented machine; elsewhere nobody listens."""

    def __init__(self, folder: str, cloud: str) -> None:
        self._folder, self._cloud, self._told = folder, cloud, False

    def listen(self, tools: List[Any]) -> None:
        """Begin to listen, in a process that ends with us."""
        if self._cloud:
            program = os.path.abspath(__file__)
            tools.append(spawn([sys.executable, "-ES", program, self._folder, *self._cloud.split()]))

    def came(self) -> bool:
        """Whether a notice came since this was last asked."""
        if self._cloud and not self._told and os.path.exists(os.path.join(self._folder, TAKEN)):
            self._told = True
            return True
        return False


def main(argv: List[str]) -> int:
    """Ask until the answer is yes, or nobody is left to be told."""
    folder, cloud = argv[1], argv[2]
    address = argv[3] if len(argv) > 3 else METADATA
    pause = float(argv[4]) if len(argv) > 4 else POLL_SECONDS
    ask = Aws(address) if cloud == "aws" else Gcp(address)  # type: Any
    while True:
        when = ask.taken()
        if when is not None:
            words = "The provider takes the machine back%s: the job was asked to save its state and end" % when
            append(folder, "notices.jsonl", {"t": round(time.time(), 3), "kind": "preemption", "message": words})
            touch(os.path.join(folder, TAKEN))
            return 0
        if select.select([0], [], [], pause)[0] and not os.read(0, 4096):
            return 0


class Aws:
    """Amazon: a spot instance's action, two minutes ahead."""

    def __init__(self, address: str) -> None:
        self._address, self._token = address, ""

    def taken(self) -> Optional[str]:
        """When it is taken, in words; None while it is not."""
        if not self._token:
            header = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
            self._token = _asked(self._address, "PUT", "/latest/api/token", header) or ""
        header = {"X-aws-ec2-metadata-token": self._token}
        said = _asked(self._address, "GET", "/latest/meta-data/spot/instance-action", header)
        if said is None:
            if _asked(self._address, "GET", "/latest/meta-data/", header) is None:
                self._token = ""  # it is too old
            return None
        try:
            return " at %s" % json.loads(said)["time"]
        except (ValueError, KeyError, TypeError):
            return ""


class Gcp:
    """Google: whether the instance is preempted, half a minute ahead."""

    def __init__(self, address: str) -> None:
        self._address = address

    def taken(self) -> Optional[str]:
        """When it is taken, in words; None while it is not."""
        path = "/computeMetadata/v1/instance/preempted"
        said = _asked(self._address, "GET", path, {"Metadata-Flavor": "Google"})
        return " within half a minute" if (said or "").strip().upper() == "TRUE" else None


def _asked(address: str, method: str, path: str, headers: Any) -> Optional[str]:
    """The answer, never by way of a proxy; None where there is none."""
    import http.client  # by the listener alone: the watcher has no use for it

    connection = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        said = answer.read(65536).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    else:
        return said if answer.status == 200 else None
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
