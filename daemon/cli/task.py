"""`penstock task`: start and stop tasks."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.cli.failure import CommandError
from daemon.cli.kinds import path_of
from daemon.cli.options import DataOption, UrlOption, control_url, data_folder

app = typer.Typer(help="Start and stop tasks.", no_args_is_help=True)
Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Tasks.")]


@app.command()
def start(context: typer.Context, names: Names, data: DataOption = None, url: UrlOption = None) -> None:
    """Start tasks; one that runs is left alone."""
    _each(context, names, "start", data, url)


@app.command()
def stop(context: typer.Context, names: Names, data: DataOption = None, url: UrlOption = None) -> None:
    """Stop tasks after what they are writing now."""
    _each(context, names, "stop", data, url)


def _each(context: typer.Context, names: list[str], verb: str, data: DataOption, url: UrlOption) -> None:
    """Ask for each task, whatever became of the one before."""
    from daemon.cli.client import connect

    failures = []
    with connect(data_folder(context, data), control_url(context, url)) as client:
        for name in names:
            try:
                client.post(f"{path_of('task', name)}/{verb}")
            except CommandError as error:
                failures.append(error)
            else:
                print(f"{'started' if verb == 'start' else 'stopped'} task {name}")
    if failures:
        raise CommandError("\n".join(map(str, failures)), max(error.code for error in failures))
