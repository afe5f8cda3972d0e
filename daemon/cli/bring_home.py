"""`penstock topic bring-home`: diverted records go back to their topic."""

from __future__ import annotations

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.options import DataOption, UrlOption, control_url, data_folder

_POLL_SECONDS = 1.0


def bring_home(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic that the records were meant for.")],
    *,
    source: Annotated[
        str,
        typer.Option("--from", metavar="TOPIC", help="Where they were diverted to. [default: the policy's divert_to]"),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Also while the topic still diverts.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until all are home; they go on either way.")
    ] = True,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Move the records that a backlog policy diverted back to their topic, in order, each once.

    Refused while the topic still diverts. It goes on over restarts of the daemon, and waits while the topic is
    throttled, rejects or diverts again. A second time moves what was diverted since.
    """
    from daemon.cli.client import connect

    path = f"topics/{quote(topic, safe='')}/bring-home"
    with connect(data_folder(context, data), control_url(context, url)) as client:
        shown = client.post(path, {"from": source, "force": force})
        while wait and not shown["done"]:
            waiting = f"; it waits: {shown['waiting']}" if shown["waiting"] else ""
            print(f"{shown['moved']} records home, {shown['remaining']} to look at{waiting}")
            time.sleep(_POLL_SECONDS)
            shown = _of(client.get(path)["items"], shown["from"])
    print(_summary(topic, shown))


def _of(items: list[dict[str, Any]], source: str) -> dict[str, Any]:
    return next(item for item in items if item["from"] == source)


def _summary(topic: str, shown: dict[str, Any]) -> str:
    state = "home" if shown["done"] else f"home so far, {shown['remaining']} to look at"
    text = f"{shown['moved']} records of topic {topic} are {state}, from {shown['from']}"
    if shown["left"]:
        text += f"; {shown['left']} stayed there, larger than {topic} takes by now"
    if shown["lost"]:
        text += f"; {shown['lost']} offsets there were gone or damaged before they could be moved"
    return text
