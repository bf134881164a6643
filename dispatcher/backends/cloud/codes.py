"""Codes with which clouds refuse, and the refusals that carry them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

from dispatcher.errors import CloudRefused, MlrunError

T = TypeVar("T")


class Codes(Generic[T]):
    """What goes with each code. One that ends with * stands for all that begin so."""

    def __init__(self, known: Mapping[T, tuple[str, ...]]) -> None:
        named = {code: value for value, codes in known.items() for code in codes}
        self._exact = {code: value for code, value in named.items() if not code.endswith("*")}
        self._prefixes = {code[:-1]: value for code, value in named.items() if code.endswith("*")}

    def find(self, code: str) -> T | None:
        """What goes with this code; None for one that nobody knows."""
        if code in self._exact:
            return self._exact[code]
        return next((value for prefix, value in self._prefixes.items() if code.startswith(prefix)), None)


class Failure(Exception):
    """An answer that is no success, or no answer. `sent` is False where the request certainly had no effect."""

    def __init__(self, code: str, said: str, doing: str, *, status: int = 0, place: str = "", sent: bool = True) -> None:
        super().__init__(f"{code}: {said}")
        self.code, self.said, self.doing, self.status, self.place, self.sent = code, said, doing, status, place, sent

    @property
    def ambiguous(self) -> bool:
        """Whether the request may have taken effect all the same."""
        return self.sent

    @property
    def where(self) -> str:
        """The place that answered, to be put behind the cloud's name."""
        return f" in {self.place}" if self.place else ""

    def told(self) -> MlrunError:
        """The error for people, in our tree."""
        return CloudRefused(f"{self.doing}{self.where}: {self.said} ({self.code})")


@contextmanager
def telling() -> Iterator[None]:
    """A refusal in here becomes the error for people."""
    try:
        yield
    except Failure as failure:
        raise failure.told() from failure
