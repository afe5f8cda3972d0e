"""`penstock topic`: work with topics."""

from __future__ import annotations

import typer

from daemon.cli.bring_home import bring_home

app = typer.Typer(help="Work with topics and what they hold.", no_args_is_help=True)
app.command("bring-home")(bring_home)
