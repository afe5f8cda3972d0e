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
    from daemon.cli.show import show_fields, show_json, show_yaml

    with connect(data_folder(context, data), control_url(context, url)) as client:
        answer = client.get("status")
    if output is Output.JSON:
        show_json(answer)
    elif output is Output.YAML:
        show_yaml([answer])
    else:
        show_fields(answer | {"settings": answer["settings"] or "all at their defaults"})
