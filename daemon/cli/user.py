"""`penstock user`: tokens for users."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import DataOption, UrlOption, control_url, data_folder

app = typer.Typer(help="What users do.", no_args_is_help=True)

PASSWORD = "PENSTOCK_PASSWORD"  # noqa: S105 - the name of a variable


@app.callback()
def _group() -> None:
    """Keep `token` a command of its own although it is the only one."""


@app.command()
def token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user.")],
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Log a user in: print a token for X-Auth-Token, which opens routes with `auth: iam` until it expires.

    The password is asked for, read from standard input where that is no terminal, or taken from PENSTOCK_PASSWORD.
    """
    from daemon.cli.client import connect

    password = os.environ.get(PASSWORD) or _asked()
    with connect(data_folder(context, data), control_url(context, url), anonymous=True) as client:
        answer = client.post("tokens", {"user": name, "password": password})
    print(answer["token"])
    typer.echo(f"expires {answer['expires']}", err=True)


def _asked() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, err=True))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise CommandError(f"no password came by standard input; write it there, or set {PASSWORD}", ExitCode.USAGE)
    return password
