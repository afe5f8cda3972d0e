"""`penstock top`: the supervision tree, live, and who holds back whom."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import DataOption, UrlOption, control_url, data_folder

if TYPE_CHECKING:
    from daemon.cli.client import Client


def top(
    context: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: as JSON, for scripts.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", "-n", metavar="SECONDS", help="How often to look.", min=0.5, max=60.0)
    ] = 1.0,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show every actor and every hop, live: where a hop is held back, the one to blame is marked. Ctrl-C ends it."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_json

    if as_json and not once:
        raise CommandError("--json shows one moment: give --once as well", ExitCode.USAGE)
    with connect(data_folder(context, data), control_url(context, url)) as client:
        if as_json:
            show_json(client.get("top"))
        elif once or not sys.stdout.isatty():
            _print(client.get("top"))
        else:
            _live(client, interval)


def _print(answer: dict[str, Any]) -> None:
    from rich.console import Console

    from daemon.cli.top_page import page

    # A pipe has no width; nothing is to be cut for it.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(page(answer, width=console.width))


def _live(client: Client, interval: float) -> None:
    import time
    from contextlib import suppress

    from rich.console import Console
    from rich.live import Live

    from daemon.cli.top_page import page

    console = Console(highlight=False)
    with suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(page(client.get("top"), width=console.width, height=console.height), refresh=True)
            time.sleep(interval)
