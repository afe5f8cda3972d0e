"""`penstock topic`: work with topics."""

from __future__ import annotations

import typer

from daemon.cli.bring_home import bring_home
from daemon.cli.query import query
from daemon.cli.replay import replay
from daemon.cli.verify import verify

app = typer.Typer(help="Work with topics and what they hold.", no_args_is_help=True)
app.command("query")(query)
app.command("replay")(replay)
app.command("verify")(verify)
app.command("bring-home")(bring_home)
