"""`penstock connection`: try connections, and look at what is behind them."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.kinds import path_of
from daemon.cli.options import DataOption, UrlOption, control_url, data_folder

app = typer.Typer(help="Try connections, and see their tables.", no_args_is_help=True)


@app.command("test")
def try_connection(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A connection of the instance.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="One that is not applied yet: its manifest.")
    ] = None,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Connect for real, and say what is possible; exit code 1 when it fails."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_fields
    from daemon.cli.sources import read_sources

    if (name is None) == (file is None):
        raise CommandError("give either the NAME of a connection or -f FILE", ExitCode.USAGE)
    sources = read_sources([file]) if file is not None else []
    with connect(data_folder(context, data), control_url(context, url)) as client:
        if sources:
            report = client.post_manifest("connections/test", sources[0].text, sources[0].file)
        else:
            report = client.post(f"{path_of('connection', name or '')}/test")
    if not report["connected"]:
        raise CommandError(f"not connected: {report.get('problem', '')}")
    show_fields(_worded(report))


def _worded(report: dict[str, Any]) -> dict[str, Any]:
    return {
        "connected": "yes",
        "version": report.get("version"),
        "time": f"{report.get('milliseconds', 0):.1f} ms",
        "may read": "yes" if report.get("may_read") else "no",
        "may write": "yes" if report.get("may_write") else "no",
        "problem": report.get("problem"),
    }


@app.command()
def tables(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A connection of the instance.")],
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="Show its columns.")] = None,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """List the tables, or the columns of one."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_rows

    path = f"{path_of('connection', name)}/tables"
    with connect(data_folder(context, data), control_url(context, url)) as client:
        if table is None:
            print("\n".join(client.get(path)["tables"]))
            return
        columns = client.get(f"{path}/{quote(table, safe='')}")["columns"]
    show_rows(
        ["column", "type", "may be null", "key"],
        [[each["name"], each["type"], each.get("nullable"), each.get("key")] for each in columns],
    )
