"""Which files travel, which stay, and which look like secrets."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.secretive import Reader

IGNORE_FILES = (".gitignore", ".dispatchignore")
ALWAYS_LEFT = (
    ".git/", ".hg/", ".svn/", ".env", ".env.*", "*.pem", "id_rsa*", "id_ed25519*", ".aws/", ".ssh/", ".gnupg/",
    "__pycache__/", "*.pyc", ".venv/", "venv/", "node_modules/", ".mypy_cache/", ".ruff_cache/", ".pytest_cache/",
    ".ipynb_checkpoints/", ".DS_Store",
)  # fmt: skip
"""Never sent unless .dispatchignore says `!name`: histories, keys, environments, caches."""
SECRET_NAME = re.compile(
    r"(secret|credential|passw|tokens?\b|api[_-]?key|private[_-]?key|\.netrc|\.p12$|\.pfx$|\.key$|kaggle\.json)", re.IGNORECASE
)
SOURCES = (".py", ".pyc", ".md", ".rst", ".ipynb", ".html", ".js", ".ts", ".c", ".cpp", ".h", ".go", ".rs", ".java", ".csv")
"""Files whose name speaks of secrets without holding any: tokenizer.py is code."""
LISTED = 50
MOST_FILES = 200_000
"""More files than this are not counted: that folder is data, and has no place in what is sent for each run."""


@dataclass(slots=True)
class Manifest:
    """What would be sent from a folder. `left_out` pairs a path with the rule; `complete` is False where counting stopped.

    `data` are paths that travel whatever git's ignore files say; `despite` pairs those with the rule that would leave them.
    `holds` tells of `secrets` that were read what is in them.
    """

    root: Path
    entries: list[Entry] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    despite: list[tuple[str, str]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    holds: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    complete: bool = True
    data: tuple[str, ...] = ()

    def wanted(self, path: str) -> bool:
        """Whether a path is of the data, or leads there."""
        return any(path == one or path.startswith(f"{one}/") or one.startswith(f"{path}/") for one in self.data)

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    @property
    def tree(self) -> Tree:
        """The files, to be pushed."""
        return Tree(self.root, tuple(self.entries))

    def as_dict(self, largest: int = 5, listed: int | None = LISTED) -> dict[str, Any]:
        """Files, bytes, the largest, what was left out and by which rule, what looks like a secret; `listed` each, or all."""
        by_size = sorted(self.entries, key=lambda entry: -entry.size)[:largest]
        return {
            "files": len(self.entries),
            "bytes": self.total,
            "largest": [(entry.path, entry.size) for entry in by_size],
            "left_out": self.left_out[:listed],
            "left_out_count": len(self.left_out),
            "despite": self.despite[:listed],
            "despite_count": len(self.despite),
            "secrets": self.secrets[:listed],
            "secrets_count": len(self.secrets),
            "secrets_hold": {path: self.holds[path] for path in self.secrets[:listed] if path in self.holds},
            "unreadable": self.unreadable[:listed],
            "complete": self.complete,
        }


def manifest(root: Path, *, most: int = MOST_FILES, data: Sequence[str] = (), look: bool = False) -> Manifest:
    """Walk `root`, honouring ignore files in every folder, but for `data`. Links that lead out of it and devices stay.

    With `look`, small texts are read for keys.
    """
    reader = Reader() if look else None
    found = Manifest(root, data=tuple(data))
    real = root.resolve()
    rules = [("always left out", "", _always), *_rules_above(real)]
    for entry, path in _walk(real, "", rules, found):
        if len(found.entries) >= most:
            found.complete = False
            break
        info = entry.stat()
        if not stat.S_ISREG(info.st_mode):
            found.left_out.append((path, "not a regular file"))
            continue
        found.entries.append(Entry(path, info.st_size, stat.S_IMODE(info.st_mode)))
        if SECRET_NAME.search(entry.name) and not entry.name.endswith(SOURCES):
            found.secrets.append(path)
        elif reader and (held := reader.held(real / path, info.st_size)):
            found.secrets.append(path)
            found.holds[path] = held
    return found


Verdict = Callable[[str], bool | None]
"""Whether a path (a folder's ends with /) is left out; None where nothing is said of it."""
Rules = list[tuple[str, str, Verdict]]
"""Ignore files: name, the folder whose paths they speak of (below the root, or "/above" it), and what they say."""


def _always(path: str) -> bool | None:
    return True if _LEFT.search(path) else None


def _pattern(name: str) -> str:
    return re.escape(name).replace(r"\*", "[^/]*") + ("" if name.endswith("/") else "(?:/|$)")


_LEFT = re.compile(f"(?:^|/)(?:{'|'.join(map(_pattern, ALWAYS_LEFT))})")


def _written(lines: Iterable[str]) -> Verdict:
    """What an ignore file says. Its library is loaded only where there is one: it takes longer than most plans' files."""
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(lines)
    return lambda path: spec.check_file(path).include


def _walk(real: Path, below: str, rules: Rules, found: Manifest) -> Iterator[tuple[os.DirEntry[str], str]]:
    folder = real / below
    try:
        children = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as why:
        found.unreadable.append(f"{below or '.'}: {why.strerror}")
        return
    rules = rules + _own_rules(children, below)
    for child in children:
        path = f"{below}/{child.name}" if below else child.name
        rule, shown = _ignored(path, child, rules), path + ("/" if child.is_dir(follow_symlinks=False) else "")
        kept = bool(rule) and found.wanted(path) and _gits(rule) and not _always(path)
        if kept and not any(path.startswith(one) for one, _ in found.despite[-1:]):
            found.despite.append((shown, rule))
        if rule and not kept:
            found.left_out.append((shown, rule))
        elif child.is_symlink() and not _inside(child, real):
            found.left_out.append((path, "a link out of the folder"))
        elif child.is_dir(follow_symlinks=False):
            yield from _walk(real, path, rules, found)
        elif child.is_file():
            yield child, path


def _rules_above(real: Path) -> Rules:
    """Ignore files between the folder and the top of its repository hold for it too, as in git."""
    above = list(real.parents)
    top = next((i for i, folder in enumerate([real, *above]) if (folder / ".git").exists()), None)
    if not top:
        return []
    rules: Rules = []
    for folder in reversed(above[:top]):
        file = folder / ".gitignore"
        if file.is_file():
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            rules.append((f"{file.name} of {folder.name}/", f"/{real.relative_to(folder).as_posix()}", _written(lines)))
    return rules


def _own_rules(children: list[os.DirEntry[str]], below: str) -> Rules:
    """The folder's own ignore files, ours last: it has the last word."""
    rules: Rules = []
    for name in IGNORE_FILES:
        for child in (one for one in children if one.name == name and one.is_file()):
            lines = Path(child.path).read_text(encoding="utf-8", errors="replace").splitlines()
            rules.append((f"{below + '/' if below else ''}{name}", below, _written(lines)))
    return rules


def _ignored(path: str, child: os.DirEntry[str], rules: Rules) -> str:
    """The name of the rule that leaves `path` at home, or ""; the last file that speaks of it decides."""
    verdict = ""
    for name, base, says in rules:
        inner = f"{base[1:]}/{path}" if base.startswith("/") else path[len(base) + 1 :] if base else path
        decided = says(inner + "/" if child.is_dir(follow_symlinks=False) else inner)
        if decided is not None:
            verdict = name if decided else ""
    return verdict


def _gits(rule: str) -> bool:
    """Whether a rule is git's, which tells what is no source, and not what is to stay: data of the job travel all the same."""
    return ".gitignore" in rule


def _inside(child: os.DirEntry[str], real: Path) -> bool:
    try:
        target = Path(child.path).resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return target.is_relative_to(real) and target.is_file()
