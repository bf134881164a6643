"""A growing file of a host, as it comes over a channel."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import TracebackType

from dispatcher.errors import HostError
from dispatcher.hosts.base import End, plain
from dispatcher.hosts.programs import command
from dispatcher.hosts.session import CHUNK, Session

LOOK_SECONDS = 0.04
"""Where nothing comes for so long, the reader is told: it has other things to look at."""
HEAD = 5
LONGEST_FRAME = 1 << 24


class Tail:
    """Frames of the program tail.py (see there)."""

    def __init__(self, start: Callable[[Sequence[str]], Session], path: str, offset: int, *folder: str) -> None:
        self._session = start(command("tail.py", path, str(offset), *folder))
        self._path, self._kind, self._missing, self._rest = path, b"", 0, b""
        self.caught_up = False
        """Whether all that stood there at the start has come."""

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._session.close()

    def next(self) -> bytes | End:
        """What came: bytes, the end, or b"" where nothing did for a moment."""
        said = self._rest or self._session.poll(LOOK_SECONDS, CHUNK)
        if said is None:
            return b""
        if said == b"":
            code, complaints = self._session.end()
            text = plain(complaints) or f"its reader ended with {code}"
            raise HostError(f"{self._path} cannot be read: {text}", fix="mlrun doctor")
        return self._unpack(said)

    def _unpack(self, said: bytes) -> bytes | End:
        """The data in it; what is left of a frame is kept for the next time."""
        found: list[bytes | memoryview] = []
        view = memoryview(said)
        while view:
            if not self._missing:
                if len(view) < HEAD:
                    view = memoryview(bytes(view) + self._session.exactly(HEAD - len(view)))
                self._kind, self._missing = bytes(view[:1]), int.from_bytes(view[1:HEAD], "big")
                view = view[HEAD:]
                self._refuse_garbage()
                self.caught_up = self.caught_up or self._kind == b"p"
                if self._kind == b"e":
                    if found:
                        self._rest, self._missing = self._head() + bytes(view), 0
                        break
                    return self._end(bytes(view))
            piece = view[: self._missing]
            self._missing -= len(piece)
            view = view[len(piece) :]
            found.append(piece)
        else:
            self._rest = b""
        return b"".join(found)

    def _head(self) -> bytes:
        return self._kind + self._missing.to_bytes(4, "big")

    def _end(self, begun: bytes) -> End:
        told = begun + self._session.exactly(self._missing - len(begun))
        try:
            known = json.loads(told)
            return End(dict(known["outcome"]), int(known["size"]))
        except (ValueError, KeyError, TypeError) as error:
            raise HostError(f"{self._path}: its host tells its end in a way that cannot be read", fix="mlrun doctor") from error

    def _refuse_garbage(self) -> None:
        if self._kind not in (b"d", b"p", b"e") or self._missing > LONGEST_FRAME:
            raise HostError(f"{self._path}: its host sends what is no log", fix="mlrun doctor")
