"""`init`, `doctor`, `schema`, `config`, `catalog`, `purge` and `completion`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import click

from dispatcher.cli.render.console import bad, bold, caution, dim, document, good, say, width
from dispatcher.cli.render.tables import table, wrapped
from dispatcher.errors import MlrunError, UsageError

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")
SHOWN = 4
"""Scripts that a note names."""
DOCUMENTS = (".yaml", ".yml", ".json", ".toml", ".cfg", ".txt", ".md", ".csv")
MARKS = {"ok": good("✓"), "note": dim("·"), "warning": caution("!"), "error": bad("✗")}


@click.command()
@click.argument("script", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: the script's name, or train.yaml."
)
@click.option("--template", help="Start from a template instead of what stands here; `--template list` names them.")
@click.option("--stdout", is_flag=True, help="Print it instead of writing a file.")
@AS_JSON
def init(script: Path | None, output: Path | None, template: str | None, *, stdout: bool, as_json: bool) -> int:
    """Write a job file, pre-filled from what stands in this folder.

    \b
      mlrun init                        look around, write train.yaml
      mlrun init fit.py                 read that script (it is not executed), write fit.yaml
      mlrun init --template tabular     start from a template
    """
    from dispatcher.jobfile import starter

    if template == "list":
        names = list(starter.templates())
        document({"schema": "1.0", "templates": names}) if as_json else say("\n".join(names), to_stdout=True)
        return 0
    text = _starter_text(script, template)
    if script is None and template is None:
        _tell_scripts()
    output = output or Path(f"{script.stem}.yaml" if script else "train.yaml")
    if not stdout:
        _write_new(output, text)
    if as_json:
        document({"schema": "1.0", "file": None if stdout else str(output), "text": text})
    elif stdout:
        say(text, to_stdout=True, nl=False)
    else:
        say(f"{good('✓')} {output} written. Look through it, then: {bold(f'mlrun {output} --dry-run')}")
    return 0


def _starter_text(script: Path | None, template: str | None) -> str:
    from dispatcher.jobfile import starter

    if template:
        if template not in starter.templates():
            raise UsageError(f"There is no template {template!r}.", fix=f"One of: {', '.join(starter.templates())}")
        return starter.render(starter.from_template(template, Path()))
    if script and script.suffix in DOCUMENTS:
        _no_script(script)
    return starter.render(starter.choose(Path(), script=script))


def _no_script(file: Path) -> NoReturn:
    """Say what to do with a file that is no program: another tool's is named in a job file. Raises."""
    from dispatcher.jobfile import foreign, yaml

    try:
        known = foreign.told(file.name, yaml.parse(file.read_bytes()).data)
    except (MlrunError, OSError):
        known = None
    raise known or UsageError(f"{file} is no script that a job could start.", fix="name one: mlrun init train.py")


def _tell_scripts() -> None:
    """Which of several scripts was taken, and how to take another."""
    from dispatcher.jobfile.survey import beside, survey

    taken = survey(Path()).script
    if others := beside(Path(), taken):
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        which = f"{taken} was taken; for another" if taken else "of several scripts none was taken; name one"
        say(dim(f"· {which}: mlrun init SCRIPT ({', '.join(others[:SHOWN])}{more})"))


def _write_new(output: Path, text: str) -> None:
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{output} exists, and is left as it is.", fix=f"mlrun init -o {output.stem}-2.yaml") from None
    except OSError as why:
        raise UsageError(f"{output} cannot be written: {why.strerror}.") from None


@click.command()
@AS_JSON
def doctor(*, as_json: bool) -> int:
    """Check this machine, drivers, frameworks and accounts, with a fix beside every finding."""
    from dispatcher.doctor.examine import checks

    found = list(checks())
    if as_json:
        document({"schema": "1.0", "checks": [{k: getattr(c, k) for k in ("name", "level", "message", "fix")} for c in found]})
    else:
        for check in found:
            _show_check(check)
    return 1 if any(check.level == "error" for check in found) else 0


def _show_check(check: Any) -> None:
    body = wrapped(f"{check.name}: {check.message}", width() - 4)
    say(
        "\n".join(f"{MARKS[check.level] if i == 0 else ' '} {'  ' if i else ''}{line}" for i, line in enumerate(body)),
        to_stdout=True,
    )
    if check.fix and check.level != "ok":
        say(f"    {bold('fix:')} {check.fix}", to_stdout=True)


@click.command()
@AS_JSON
def schema(*, as_json: bool) -> int:
    """The job file's JSON Schema (draft-07).

    \b
      mlrun schema > mlrun.schema.json
    and as the job file's first line:
      # yaml-language-server: $schema=./mlrun.schema.json
    """
    from dispatcher.jobfile.schema import schema as made

    document({"schema": "1.0", **made()} if as_json else made())
    return 0


@click.group()
def config() -> None:
    """The settings that hold for every job."""


@config.command("show")
@AS_JSON
def config_show(*, as_json: bool) -> int:
    """Each setting with its value and where it comes from."""
    from dispatcher import paths
    from dispatcher.jobfile.settings import show

    rows = show()
    if as_json:
        document({"schema": "1.0", "settings": [dict(zip(("key", "value", "origin"), row, strict=True)) for row in rows]})
        return 0
    say(dim(f"{paths.config_dir() / 'config.yaml'}"), to_stdout=True)
    lines = table(("SETTING", "VALUE", "FROM"), [(k, _words(v), o) for k, v, o in rows], width=width())
    say("\n".join(lines), to_stdout=True)
    return 0


def _words(value: Any) -> str:
    if value is None or value == []:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@click.group()
def catalog() -> None:
    """Accelerators, machines, processors, models and prices, with their age and source."""


@catalog.command("show")
@click.argument("words", nargs=-1)
@click.option("--compare", is_flag=True, help="The two or more things named, side by side.")
@click.option("--region", help="Prices of one region: us-east-1, europe-west4.")
@AS_JSON
def catalog_show(words: tuple[str, ...], *, compare: bool, region: str | None, as_json: bool) -> int:
    """Search the catalog.

    \b
      mlrun catalog show a100
      mlrun catalog show g5.xlarge --region eu-west-1
      mlrun catalog show --compare T4 L4
    """
    from dispatcher.cli.render.catalog import show_comparison, show_found

    return (show_comparison if compare else show_found)(words, region=region, as_json=as_json)


@catalog.command("refresh")
@click.option("--region", "regions", multiple=True, help="One region, or more of them; else the settings' ones.")
@AS_JSON
def catalog_refresh(regions: tuple[str, ...], *, as_json: bool) -> int:
    """Read today's prices from AWS's own lists; what breaks the catalog's guards is left out."""
    from dispatcher.cli.accounts import refresh_prices

    return refresh_prices(regions, as_json=as_json)


@click.command()
@click.option("--older-than", default="30d", show_default=True, metavar="TIME", help="Finished runs that are older: 30d, 12h.")
@click.option("--all", "everything", is_flag=True, help="All finished runs, and caches.")
@click.option("--learned", is_flag=True, help="Only what estimates learned from runs here.")
@click.option("-y", "--yes", is_flag=True, help="Remove without asking.")
@AS_JSON
def purge(older_than: str, *, everything: bool, learned: bool, yes: bool, as_json: bool) -> int:
    """Show what mlrun keeps on disk, and remove records of finished runs after asking. Outputs of jobs are never touched."""
    from dispatcher.cli.purging import forget
    from dispatcher.cli.purging import purge as do

    if learned:
        return forget(as_json=as_json)
    return do(older_than, everything=everything, yes=yes, as_json=as_json)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@AS_JSON
def completion(shell: str, *, as_json: bool) -> int:
    """Print the completion script of a shell.

    \b
      bash:  mlrun completion bash >> ~/.bashrc
      zsh:   mlrun completion zsh >> ~/.zshrc
      fish:  mlrun completion fish > ~/.config/fish/completions/mlrun.fish
    """
    from click.shell_completion import get_completion_class

    from dispatcher.cli.main import COMPLETE_VAR, cli

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "mlrun", COMPLETE_VAR).source()
    document({"schema": "1.0", "shell": shell, "script": script}) if as_json else say(script, to_stdout=True)
    return 0
