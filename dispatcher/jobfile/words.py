"""A shell command's words with their places; nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BREAK = set(" \t\n")
_OPERATOR = set(";&|()<>")
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+)\}")


@dataclass(frozen=True, slots=True)
class Word:
    """One word: its text without quotes, and its span in the command. `fixed` where the shell changes nothing in it.

    `first` stands where a simple command begins. An operator (`;`, `|`, `>`) is listed too, though it is no word.
    """

    text: str
    start: int
    end: int
    fixed: bool = True
    first: bool = False
    operator: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """`${training.batch_size}` in a command, and the quotes it stands in."""

    setting: str
    start: int
    end: int
    quote: str


def words(command: str) -> list[Word]:
    """The command's words and operators, as a POSIX shell splits them. An open quote ends with the command."""
    return list(_words(command))


def references(command: str) -> list[Reference]:
    """The settings that a command names. Only dotted names are ours; ${HOME} is the shell's."""
    found = list(_REFERENCE.finditer(command))
    if not found:
        return []
    quotes = _quotes(command, [one.start() for one in found])
    return [Reference(one[1], one.start(), one.end(), quote) for one, quote in zip(found, quotes, strict=True)]


def quoted(text: str, quote: str = "") -> str:
    """The text for a shell, inside the quotes where it will stand."""
    if _SAFE.fullmatch(text):
        return text
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", text)
    inner = text.replace("'", "'\"'\"'")
    return inner if quote == "'" else f"'{inner}'"


def appended(command: str, extra: tuple[str, ...]) -> str:
    """The command with more words at its end, before a comment that would swallow them."""
    if not extra:
        return command
    end = max((word.end for word in _words(command)), default=0)
    return f"{command[:end].rstrip()} {' '.join(quoted(word) if word else repr('') for word in extra)}"


def _words(command: str) -> Iterator[Word]:
    at, first, size = 0, True, len(command)
    while at < size:
        char = command[at]
        if char == "\\" and command[at + 1 : at + 2] == "\n":
            at += 2
        elif char == "\n":
            first, at = True, at + 1
        elif char in _BREAK:
            at += 1
        elif char == "#":
            at = _line_end(command, at)
        elif char in _OPERATOR:
            yield Word(char, at, at + 1, operator=True)
            first, at = char not in "<>", at + 1
        else:
            word = _word(command, at, first=first)
            yield word
            first, at = first and _assigns(word.text), word.end


def _line_end(command: str, at: int) -> int:
    end = command.find("\n", at)
    return len(command) if end < 0 else end


def _assigns(text: str) -> bool:
    """NAME=value before a command is the shell's."""
    return bool(re.match(r"[A-Za-z_][A-Za-z0-9_]*=", text))


def _word(command: str, start: int, *, first: bool) -> Word:
    text: list[str] = []
    at, quote, fixed = start, "", True
    while at < len(command):
        char = command[at]
        if not quote and (char in _BREAK or char in _OPERATOR):
            break
        if char == "\\" and quote != "'":
            following = command[at + 1 : at + 2]
            keep = quote == '"' and following not in '\\"$`\n'
            text.append(("\\" if keep else "") + following.replace("\n", ""))
            at += 2
            continue
        if char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        else:
            fixed = fixed and not (char in "$`" and quote != "'") and not (char in "*?[{~" and not quote)
            text.append(char)
        at += 1
    return Word("".join(text), start, min(at, len(command)), fixed=fixed and not quote, first=first)


def _quotes(command: str, places: list[int]) -> list[str]:
    """The quote that is open at each place: "", ' or double."""
    found: list[str] = []
    quote, at = "", 0
    for place in places:
        while at < place:
            char = command[at]
            if char == "\\" and quote != "'":
                at += 1
            elif char in "'\"" and quote in ("", char):
                quote = "" if quote else char
            elif char == "#" and not quote and (at == 0 or command[at - 1] in " \t\n;&|("):
                at = _line_end(command, at) - 1
            at += 1
        found.append(quote)
    return found
