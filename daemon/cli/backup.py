"""`penstock backup`: a copy of the data folder while the daemon runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.options import DataOption, UrlOption, control_url, data_folder


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New or empty; on the daemon's machine.")],
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Write a consistent copy that `penstock run --data` works on."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_fields

    with connect(data_folder(context, data), control_url(context, url)) as client:
        answer = client.post("backup", {"folder": str(folder.absolute())})
    show_fields(answer)
