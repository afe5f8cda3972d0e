"""`penstock delete`: take a resource away."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.kinds import KindArgument, NameArgument, checked_kind, full_name, path_of
from daemon.cli.options import UrlOption, control_url, data_folder


def delete(
    context: typer.Context,
    *,
    kind: KindArgument,
    name: NameArgument,
    files: Annotated[
        bool, typer.Option("--data", help="Delete the topic's records too (the folder is named before the command).")
    ] = False,
    url: UrlOption = None,
) -> None:
    """Delete a resource; refused while something refers to it.

    The data folder is named by PENSTOCK_DATA or before the command: penstock --data DIR delete KIND NAME.
    """
    from daemon.cli.client import connect

    kind = checked_kind(kind)
    if files and kind != "topic":
        raise CommandError(f"--data is for topics, whose records it deletes; a {kind} has none", ExitCode.USAGE)
    with connect(data_folder(context, None), control_url(context, url)) as client:
        name = full_name(client, kind, name)
        client.delete(path_of(kind, name), data=files)
    print(f"deleted {kind} {name}{', with its records' if files else ''}")
