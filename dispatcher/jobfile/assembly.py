"""From a tree to one job: changes, values in `run`, contradictions, origins."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from dispatcher.domain.job import JobConfig
from dispatcher.domain.values import short
from dispatcher.errors import Problem
from dispatcher.jobfile.bound import Literal, agree, bound, literals, rewritten
from dispatcher.jobfile.check import Checker
from dispatcher.jobfile.contradictions import absences, contradictions
from dispatcher.jobfile.families import possible
from dispatcher.jobfile.filling import Filling, fitting, from_config, from_data, from_import, from_script
from dispatcher.jobfile.keys import every, resolve, similar
from dispatcher.jobfile.pieces import as_in_file, defaults, drop, full_path, quoted, shell_text, workdir_of
from dispatcher.jobfile.refused import REFUSED
from dispatcher.jobfile.words import Reference, appended, references
from dispatcher.jobfile.yaml import Document, Path, Place, dotted, leaves

DESCRIBED = ("task", "model", "dataset", "training", "checkpoint")
"""Sections that describe the script: changing one without the script would make the plan a lie."""

ROUNDS = 4
"""Times that wrong settings are left out: a section without what it needs goes too."""

LENGTHS = ("training.steps", "training.epochs", "training.tokens")


class Assembly:
    """One job on its way: its problems gather here until all are known."""

    def __init__(
        self,
        document: Document,
        *,
        origin: str,
        sets: Mapping[str, Any],
        extra: tuple[str, ...],
        folder: FilePath | None = None,
        origins: Mapping[str, str] | None = None,
        free: bool = False,
    ) -> None:
        """Files that the job names lie below its workdir, which is below `folder`; None: no file is looked into.

        `origins` tells where values come from that no file states; `free` lets any setting be changed.
        """
        self.document = document
        self.extra = extra
        self.checker = Checker(document, JobConfig, REFUSED)
        self.data = self.checker.named().data
        self.origin = origin
        self.known = origins or {}
        self.free = free
        self.sets: dict[Path, Any] = {}
        self.notes: list[str] = []
        self.imported = self._import(folder)
        run = self.data.get("run")
        self.run = run if isinstance(run, str) and len(run) <= 65536 else ""
        self.bound = bound(self.run) | self.imported.overrides.keys()
        self.origins = self._stated()
        if not document.broken:
            self._replace(sets)
            self._from_run()
            self._from_files(folder)

    @property
    def problems(self) -> list[Problem]:
        """Everything wrong so far."""
        return self.checker.tree.problems

    def stated(self, setting: str) -> Any:
        """A setting's value so far; None where nobody has said it."""
        return self._stated_value(tuple(setting.split(".")))

    def note(self, path: Path, message: str, fix: str = "") -> None:
        """One more thing that is wrong."""
        self.problems.append(self.checker.problem(path, message, fix))

    def settings(self) -> JobConfig | None:
        """The job's settings; what is wrong with them, and between them, is noted."""
        if self.document.broken:
            return None
        config = self.checker.settings()
        self._named_where_imported()
        told = config or self._without_errors()
        if told:
            wrong = {problem.path.split(".")[0] for problem in self.problems}
            for path, message, fix in contradictions(told):
                self.note(path, message, fix)
            for path, message, fix in absences(told):
                if path[0] not in wrong:
                    self.note(path, message, fix)
            self._references(told)
        if config:
            self.origins = dict.fromkeys(defaults(), "default") | self.origins
        return config

    def command(self, config: JobConfig) -> str:
        """`run` as the shell gets it: literals that were changed, and settings in place of their names."""
        changes = {dotted(path): shell_text(value) for path, value in self.sets.items()}
        whole = rewritten(config.run, changes, lambda setting: shell_text(self._value(setting)[1])).rstrip("\n")
        own = bound(config.run)
        theirs = (
            (name, changes[ours]) for ours, name in self.imported.overrides.items() if ours in changes and ours not in own
        )
        return appended(whole, tuple(f"{name}={value}" for name, value in theirs))

    def digest(self, command: str) -> str:
        """SHA-256 of all that the plan depends on; comments and the order of keys do not count."""
        whole = json.dumps([self.data, command], sort_keys=True, default=str, separators=(",", ":"))
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()

    def _stated(self) -> dict[str, str]:
        return {dotted(path): self._where(path) for path, _ in leaves(self.data)}

    def _where(self, path: Path) -> str:
        if dotted(path) in self.known:
            return self.known[dotted(path)]
        place = self.checker.place(path) if self.origin == "yaml" else None
        return f"yaml line {place.line}" if place else self.origin

    def _import(self, folder: FilePath | None) -> Filling:
        """What an imported file says; a command in it is the job's where the job has none."""
        section = self.data.get("import")
        if folder is None or not isinstance(section, dict) or self.document.broken:
            return Filling()
        found = from_import(section, workdir_of(folder, self.data))
        self.problems.extend(self.checker.problem(tuple(one.path.split(".")), one.message, one.fix) for one in found.problems)
        command = found.values.get("run")
        if command and "run" not in self.data:
            self.data["run"] = command.value
            self.known = {**self.known, "run": command.origin}
        return found

    def _from_files(self, folder: FilePath | None) -> None:
        """What is still open: from the imported file, then config.json, the script, and the data themselves."""
        self._fill(self.imported)
        if folder is None:
            return
        home = workdir_of(folder, self.data)
        self._fill(from_config(self.stated, home))
        self._fill(from_script(appended(self.run, self.extra), self.stated, home))
        self._fill(from_data(self.stated, home))

    def _fill(self, filling: Filling) -> None:
        self.notes += filling.notes
        if filling is not self.imported:
            self.problems.extend(
                self.checker.problem(tuple(one.path.split(".")), one.message, one.fix) for one in filling.problems
            )
        for setting, value in list(fitting(filling.values, self.stated)):
            self._put(tuple(setting.split(".")), value.value)
            self.origins[setting] = value.origin

    def _named_where_imported(self) -> None:
        """A wrong value of an imported file is told with that file and its own name for it."""
        for index, problem in enumerate(self.problems):
            origin = self.origins.get(problem.path, "")
            if not problem.line and origin.startswith("import "):
                place = origin.removeprefix("import ")
                self.problems[index] = replace(
                    problem, message=f"{place}: {problem.message}", fix=problem.fix or "Mend that file."
                )

    def _replace(self, sets: Mapping[str, Any]) -> None:
        for name, value in sets.items():
            problem = self._replaced(name, value)
            if problem:
                self.problems.append(problem)

    def _replaced(self, name: str, given: Any) -> Problem | None:
        """Change one setting; the problem where that cannot be."""
        told = f"--set {name}"
        keys = resolve(JobConfig, tuple(name.split(".")))
        if not keys:
            near = similar(name, [".".join(path) for path, _ in every(JobConfig)])
            return Problem(f"{short(name)} is no setting.", f"Did you mean {near!r}?" if near else "", path=told)
        path = full_path(keys, name)
        if path == ("run",):
            return Problem("the command itself stands in the file.", "Edit run, or append words after --.", path=told)
        if keys[-1].section[0] and path[-1] == keys[-1].name:
            return Problem(f"{name} is a section.", f"Name one of its settings: {name}.….", path=told)
        if path[0] in DESCRIBED and dotted(path) not in self.bound and not self.free:
            return self._unbound(dotted(path), given, told)
        value = as_in_file(given)
        if isinstance(value, Problem):
            return Problem(value.message, value.fix, path=told)
        self.sets[path] = value
        self.checker.outside[path] = f"{dotted(path)}={short(given)} on the command line"
        self._put(path, value)
        self.checker.tree.stands = {
            ours: theirs for ours, theirs in self.checker.tree.stands.items() if ours[: len(path)] != path
        }
        self.origins[dotted(path)] = "--set"
        return None

    def _unbound(self, setting: str, given: Any, told: str) -> Problem:
        switched = next((one for one in literals(self.run).get(setting, ()) if one.switch), None)
        if switched:
            return Problem(f"run says {switched.said}, which has no value to change.", "Edit run.", path=told)
        name = setting.rpartition(".")[2]
        return Problem(
            f"run does not take {setting}: changing it here would not change what the script does.",
            f"Let the script read it and add to run: --{name.replace('_', '-')} ${{{setting}}}; or edit the script.",
            path=told,
        )

    def _from_run(self) -> None:
        """Values that the command states: they fill what the file leaves open, and may not contradict it."""
        given = literals(appended(self.run, self.extra)) if self.run else {}
        for setting, some in given.items():
            path = tuple(setting.split("."))
            stated = self._stated_value(path)
            if path in self.sets:
                self._still_given(path, some)
            elif stated is not None:
                if not agree(stated, some[0].value):
                    self._contradicted(path, stated, some[0])
            elif self._wanted(setting, path, given):
                self._put(path, some[0].value)
                self.origins[setting] = "run"
        self._overridden()

    def _overridden(self) -> None:
        """Words after -- that give a setting anew would leave the plan behind."""
        own = literals(self.run)
        named = {one.setting for one in references(self.run)}
        for setting, some in literals(" ".join(["x", *map(quoted, self.extra)])).items():
            clash = setting in own and not agree(own[setting][0].value, some[0].value)
            if clash or setting in named:
                self.problems.append(
                    Problem(
                        f"the words after -- give {setting} a second time: {some[0].said}.",
                        f"Write --set {setting}={shell_text(some[0].value)} instead.",
                        path="--",
                    )
                )

    def _still_given(self, path: Path, some: tuple[Literal, ...]) -> None:
        for one in some:
            if one.end > len(self.run) and not agree(self.sets[path], one.value):
                self.problems.append(Problem(f"--set {dotted(path)}, and {one.said} after --.", "Keep one.", path="--"))

    def _contradicted(self, path: Path, stated: Any, literal: Literal) -> None:
        message = f"{dotted(path)} is {shell_text(stated)} here, and run says {literal.said}."
        fix = f"Keep one; ${{{dotted(path)}}} in run takes it from here."
        self.note(path, message, fix)

    def _wanted(self, setting: str, path: Path, given: Mapping[str, Any]) -> bool:
        """Whether a value in `run` completes the description; a flag alone does not begin a model or a dataset."""
        section = self.data.get(str(path[0]))
        if path[0] == "training":
            if setting in LENGTHS and any(self._stated_value(tuple(name.split("."))) is not None for name in LENGTHS):
                return False
            earlier = LENGTHS[: LENGTHS.index(setting)] if setting in LENGTHS else ()
            return (section is None or isinstance(section, dict)) and not any(name in given for name in earlier)
        if not isinstance(section, dict):
            return False
        if path[0] != "model":
            return True
        family = section.get("family")
        fitting = possible([*section, str(path[1])])
        named = set(section) - {"family", "name"}
        return family in fitting if family else bool(named and fitting)

    def _references(self, config: JobConfig) -> None:
        for one in references(self.run):
            known, value = self._value(one.setting, config)
            name = f"${{{one.setting}}}"
            if not known:
                near = similar(one.setting, [".".join(path) for path, _ in every(JobConfig)])
                self._in_run(one, f"{name} is no setting.", f"Did you mean ${{{near}}}?" if near else "")
            elif value is None and not self._troubled(one.setting):
                self._in_run(one, f"{name} has no value.", f"Give {one.setting} a value, or write it out in run.")
            elif isinstance(value, dict):
                self._in_run(one, f"{name} is a section.", f"Name one of its settings: {name[:-1]}.…}}.")

    def _troubled(self, setting: str) -> bool:
        """Whether the setting is there, and wrong."""
        return any(problem.path and setting.startswith(problem.path) for problem in self.problems)

    def _in_run(self, reference: Reference, message: str, fix: str) -> None:
        """A problem within `run`, at the line where the words stand."""
        place = self.checker.place(("run",))
        words = f"${{{reference.setting}}}"
        for number, line in enumerate(self.document.lines, start=1):
            if place and number >= place.line and words in line:
                at = Place(number, line.index(words) + 1, len(words))
                self.problems.append(self.document.problem(at, message, fix, "run"))
                return
        self.note(("run",), message, fix)

    def _value(self, setting: str, config: JobConfig | None = None) -> tuple[bool, Any]:
        """Whether there is such a setting, and its value as people write it: 3h stays 3h."""
        names = tuple(setting.split("."))
        keys = resolve(JobConfig, names)
        if not keys:
            return False, None
        path = full_path(keys, setting)
        stated = self._stated_value(path)
        if stated is not None or keys[-1].section[0]:
            return True, stated if stated is not None else {}
        return True, keys[-1].default

    def _stated_value(self, path: Path) -> Any:
        here: Any = self.data
        for part in path:
            here = here.get(part) if isinstance(here, dict) else None
        return here

    def _put(self, path: Path, value: Any) -> None:
        here: dict[str, Any] = self.data
        for part in path[:-1]:
            inner = here.get(str(part))
            if not isinstance(inner, dict):
                inner = here[str(part)] = {}
            here = inner
        here[str(path[-1])] = value

    def _without_errors(self) -> JobConfig | None:
        """What is left of the job without the settings that are wrong: contradictions between the others are told too."""
        data, wrong = copy.deepcopy(self.data), self.checker.wrong
        for _ in range(ROUNDS):
            for path in filter(None, wrong):
                drop(data, path)
            data.setdefault("run", "true")
            rest: Checker[JobConfig] = Checker(Document(data=data), JobConfig, {})
            rest.named()
            config = rest.settings()
            if config:
                return config
            wrong = rest.wrong
        return None
