"""The house's own laws: small files, documented names, nothing printed, links that lead somewhere."""

from __future__ import annotations

import ast
import os
import re
import statistics
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEVER = {".git", ".venv", "__pycache__", "node_modules", "runs", "build", "dist"}
REGISTRIES = ("py" + "pi.org", "files.python" + "hosted.org", "conda.an" + "aconda.org")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home/[a-z][\w-]*|Users/[A-Za-z][\w-]*)/[\w.-]")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".csv", ".json", ".sh", ".service", ".html", ""}


def files() -> list[Path]:
    """Everything of ours below the root, without what tools and runs leave."""
    found = []
    for folder, inside, names in os.walk(ROOT):
        inside[:] = [name for name in inside if name not in NEVER and not name.endswith(("_cache", ".egg-info"))]
        inside[:] = [name for name in inside if not name.startswith(".") or name == ".ci"]
        found += [Path(folder, name) for name in names if not name.startswith(".coverage")]
    return sorted(found)


FILES = files()
PYTHON = [file for file in FILES if file.suffix == ".py"]
PACKAGE = [file for file in PYTHON if file.is_relative_to(ROOT / "dispatcher")]
PAGES = [file for file in FILES if file.suffix == ".md"]
JOBS = sorted((ROOT / "configs").glob("*.yaml"))


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), name(file))


def functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree(file)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_of_code_has_more_than_400_lines() -> None:
    long = {name(file): count for file in PYTHON if (count := len(file.read_text().splitlines())) > 400}
    assert long == {}


def test_the_middle_file_of_the_package_has_at_most_150_lines() -> None:
    lengths = [len(file.read_text().splitlines()) for file in PACKAGE if file.name != "__init__.py"]
    assert statistics.median(lengths) <= 150


def test_every_module_says_its_purpose_in_at_most_twelve_words() -> None:
    wrong = {}
    for file in PACKAGE:
        said = (ast.get_docstring(tree(file)) or "").split("\n")[0].split(". ")[0]
        if not 1 <= len(re.findall(r"\w\S*", said)) <= 12:
            wrong[name(file)] = said
    assert wrong == {}


def test_every_public_name_is_documented() -> None:
    missing = []
    for file in PACKAGE:
        missing += [f"{name(file)}: {called}" for called, node in public(tree(file)) if not ast.get_docstring(node)]
    assert missing == []


def public(parent: ast.Module | ast.ClassDef) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Public functions and classes of a module, and the methods of those classes."""
    found: list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]] = []
    for node in parent.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        found.append((node.name, node))
        if isinstance(node, ast.ClassDef):
            found += [(f"{node.name}.{called}", inner) for called, inner in public(node)]
    return found


def test_functions_are_short() -> None:
    lengths = sorted(length(node) for file in PACKAGE for node in functions(file))
    assert statistics.median(lengths) <= 9
    assert lengths[int(len(lengths) * 0.9)] <= 30


def test_no_function_has_more_than_60_lines() -> None:
    long = {f"{name(file)}: {node.name}": length(node) for file in PACKAGE for node in functions(file) if length(node) > 60}
    assert long == {}


def test_only_the_screens_print() -> None:
    allowed = (ROOT / "dispatcher/cli/render", ROOT / "dispatcher/agent")
    printing = []
    for file in PACKAGE:
        if file.is_relative_to(allowed[0]) or file.is_relative_to(allowed[1]):
            continue
        calls = [node for node in ast.walk(tree(file)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        printing += [f"{name(file)}:{call.lineno}" for call in calls if call.func.id == "print"]  # type: ignore[attr-defined]
    assert printing == []


def test_the_agent_stands_on_the_standard_library_alone() -> None:
    foreign = []
    for file in (ROOT / "dispatcher/agent").glob("*.py"):
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ImportFrom):
                foreign += (
                    [f"{name(file)}: {node.module}"] if (node.module or "").startswith("dispatcher") or node.level else []
                )
            elif isinstance(node, ast.Import):
                foreign += [f"{name(file)}: {alias.name}" for alias in node.names if alias.name.startswith("dispatcher")]
    assert foreign == []


def test_no_path_of_one_machine_and_no_registry_is_written_down() -> None:
    found = []
    for file in FILES:
        if file == Path(__file__) or file.suffix not in TEXT or file.is_relative_to(ROOT / "tests" / "fixtures"):
            continue
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
            if MACHINE_PATH.search(line) or any(registry in line for registry in REGISTRIES):
                found.append(f"{name(file)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_no_file_is_larger_than_a_megabyte() -> None:
    assert {name(file): size for file in FILES if (size := file.stat().st_size) > 1_000_000} == {}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if not re.match(r"[a-z]+:", link)]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("job", JOBS, ids=name)
def test_every_example_job_loads(job: Path) -> None:
    from dispatcher.jobfile.load import load

    loaded = load(job)
    assert job.parent.resolve() == loaded.workdir.resolve()
    assert "${" not in re.sub(r"\$\{[A-Z_]+\}", "", loaded.command)


@pytest.mark.parametrize("job", [job for job in JOBS if job.name != "reference.yaml"], ids=name)
def test_an_example_job_has_its_script_or_says_that_one_must_be_brought(job: Path) -> None:
    text = job.read_text()
    scripts = re.findall(r"(?:python|torchrun \S+ \d+) (\S+\.py)", text)
    assert scripts
    missing = [script for script in scripts if not (job.parent / script).is_file()]
    assert bool(missing) == ("bring your own" in text.partition("\n")[0].lower())
