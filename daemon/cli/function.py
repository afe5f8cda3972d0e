"""`penstock function`: the life of a function, from a starting point to its runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.kinds import path_of
from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder
from daemon.cli.route import RemarkOption

app = typer.Typer(help="Write, test, deploy and switch functions, and look at their runs.", no_args_is_help=True)

_RUN_FIELDS = (
    *("run", "at", "version", "caller", "called by", "items", "failed", "waited", "milliseconds", "outcome", "lines"),
    "reason",
)  # fmt: skip

FunctionName = Annotated[str, typer.Argument(metavar="NAME", help="The function.")]


class Template(StrEnum):
    """What a new function starts from."""

    PYTHON = "python"
    MYSQL = "mysql"
    REDIS = "redis"
    FRONT_AUTHORIZER = "front-authorizer"


@app.command()
def new(
    *,
    name: FunctionName,
    template: Annotated[Template, typer.Option("--template", "-t", help="What to start from.")] = Template.PYTHON,
    owner: Annotated[str, typer.Option("--app", metavar="APP", help="Whose function it is to be.")] = "my-app",
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where to write it.", show_default=False)
    ] = Path(),
) -> None:
    """Write a manifest to start from, and for some templates a plugin module; needs no daemon."""
    import msgspec

    from config.resources.base import Name
    from daemon.function_templates import written

    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise CommandError(f"a name is letters, digits, `.`, `_` and `-`, not {name!r}", ExitCode.USAGE) from error
    texts = written(template.value, name, owner)
    there = [str(out / file) for file in texts if (out / file).exists()]
    if there:
        raise CommandError(f"{', '.join(there)}: already there; choose another name or --out")
    out.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (out / file).write_text(text, encoding="utf-8")
        print(out / file)


@app.command("test")
def try_function(
    context: typer.Context,
    *,
    name: FunctionName,
    file: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            metavar="FILE",
            help="JSON to call it with, `-` is standard input (the folder is named before the command).",
        ),
    ] = "",
    output: OutputOption = Output.TABLE,
    url: UrlOption = None,
) -> None:
    """Run a function as it is saved, deployed or not, for real; show its result, its log and its time."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_as

    asked = {} if not file else {"data": _json(file)}
    with connect(data_folder(context, None), control_url(context, url)) as client:
        tried = client.post(f"{path_of('function', name)}/test", asked)
    show_as(output, tried, lambda: _show_tried(name, tried))
    if tried["outcome"] != "done":
        raise CommandError(f"function {name}: {tried['error']}")


@app.command()
def deploy(
    context: typer.Context,
    *,
    name: FunctionName,
    remark: RemarkOption = "",
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Run a function as it is saved from now on, as a new version."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        _show_running(client.post(f"{path_of('function', name)}/deploy", {"remark": remark}))


@app.command()
def versions(
    context: typer.Context,
    *,
    name: FunctionName,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show the versions of a function that are kept, the newest first."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        items = client.get(f"{path_of('function', name)}/versions")["items"]
    none = f"function {name} was never deployed: penstock function deploy {name}"
    _show_items(items, ["version", "deployed", "running", "remark"], output, none)


@app.command()
def switch(
    context: typer.Context,
    *,
    name: FunctionName,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="As `penstock function versions` shows it.")],
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Run another version of a function from now on, an older one as well as a newer one."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        _show_running(client.post(f"{path_of('function', name)}/switch", {"version": version}))


@app.command()
def runs(
    context: typer.Context,
    *,
    name: FunctionName,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that brought no result.")] = False,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show the last runs of a function, the newest first; the daemon keeps them over a restart."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        items = client.get(f"{path_of('function', name)}/runs", failed=failed)["items"]
    for one in items if output is Output.TABLE else ():
        one["version"] = one["version"] or "saved"
        one["called by"] = one["called_by"]
        one["waited"] = one["waited_milliseconds"] or None
    none = f"no run of function {name} failed" if failed else f"function {name} was not called"
    _show_items(items, _RUN_FIELDS, output, none)


@app.command()
def logs(
    context: typer.Context,
    *,
    name: FunctionName,
    run: Annotated[int | None, typer.Option("--run", metavar="NUMBER", help="Only of this run.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only of runs that brought no result.")] = False,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show what the last runs of a function logged, the oldest first."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_as

    path = f"{path_of('function', name)}/runs"
    with connect(data_folder(context, data), control_url(context, url)) as client:
        if run is not None:
            found = [client.get(f"{path}/{run}")]
        else:
            found = list(reversed(client.get(path, failed=failed, log=True)["items"]))
    show_as(output, found, lambda: _show_logs(found))


def _json(file: str) -> Any:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{file}: not JSON: {error}", ExitCode.USAGE) from error


def _show_running(answer: dict[str, Any]) -> None:
    version = f"function {answer['function']}: version {answer['version']}"
    problem = answer.get("problem")
    print(f"{version} is deployed, and does not run: {problem}" if problem else f"{version} runs")


def _show_items(items: list[dict[str, Any]], fields: Sequence[str], output: Output, none: str) -> None:
    from daemon.cli.show import show_as, show_rows

    if items or output is not Output.TABLE:
        show_as(output, items, lambda: show_rows(fields, [[one[field] for field in fields] for one in items]))
    else:
        typer.echo(none, err=True)


def _show_tried(name: str, tried: dict[str, Any]) -> None:
    _show_log(tried["log"], tried["left_out"])
    if tried["outcome"] == "done":
        print(json.dumps(tried["result"], indent=2, ensure_ascii=False))
    print(f"function {name}: {tried['outcome']} in {tried['milliseconds']:.3f} ms", file=sys.stderr)


def _show_logs(runs: list[dict[str, Any]]) -> None:
    for one in runs:
        reason = f": {one['reason']}" if one["reason"] else ""
        version = f"version {one['version']}" if one["version"] else "as saved"
        print(f"{one['at']} run {one['run']} {version} {one['outcome']}{reason}")
        _show_log(one["log"], one["left_out"])


def _show_log(lines: list[dict[str, Any]], left_out: int) -> None:
    for line in lines:
        print(f"  {line['milliseconds']:9.3f} ms  {line['text']}")
    if left_out:
        print(f"  ({left_out} more lines were left out)")
