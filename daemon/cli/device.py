"""`penstock device`: a new secret for a device."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.cli.kinds import path_of
from daemon.cli.options import DataOption, UrlOption, control_url, data_folder

app = typer.Typer(help="What is done to devices.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `rotate-secret` a command of its own although it is the only one."""


@app.command("rotate-secret")
def rotate_secret(
    context: typer.Context,
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="Its product.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The device.")],
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Give a device a new secret, shown only this once; the old one is refused from now on."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        answer = client.post(f"{path_of('device', f'{product}/{name}')}/rotate-secret")
    print(answer["secret"])
