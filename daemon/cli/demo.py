"""`penstock demo`: the parking lot, live."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.cli.failure import CommandError
from daemon.cli.options import DataOption, data_folder


def demo(
    context: typer.Context,
    *,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0.1, metavar="SECONDS", help="Stop by itself.", show_default=False)
    ] = None,
    sensors: Annotated[int, typer.Option("--sensors", min=1, max=300, help="How many report.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON at the end.")] = False,
    data: DataOption = None,
) -> None:
    """Run the parking lot live, with simulated sensors over real MQTT.

    At the end it checks that nothing was lost; the exit code says so.
    """
    from actors.errors import PenstockError
    from daemon.demo.run import run_demo

    try:
        code = run_demo(data_folder(context, data), seconds=seconds, sensors=sensors, as_json=as_json)
    except PenstockError as error:
        raise CommandError(str(error)) from error
    raise typer.Exit(code)
