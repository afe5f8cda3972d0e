"""`penstock status`: who this instance is, and how it is set."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.cli.options import DataOption, Output, UrlOption, control_url, data_folder


def status(
    context: typer.Context,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show it.")] = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show instance, version, addresses, and what is set differently."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_as, show_fields

    with connect(data_folder(context, data), control_url(context, url)) as client:
        answer = client.get("status")
    show_as(output, answer, lambda: show_fields(answer | {"settings": answer["settings"] or "all at their defaults"}))
