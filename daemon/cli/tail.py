"""`penstock tail`: follow a topic live."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import DataOption, UrlOption, control_url, data_folder

_WHERE = ("key", "id", "tag", "partition")


class TailOutput(StrEnum):
    """How messages are shown: a line of text, or a line of JSON."""

    TEXT = "text"
    JSON = "json"


def tail(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic to follow.")],
    *,
    begin: Annotated[
        str,
        typer.Option("--from", metavar="WHERE", help="earliest, latest, a time (2026-01-31T12:00:00Z) or 10m ago."),
    ] = "latest",
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="FIELD=VALUE", help="key=..., id=..., tag=... or partition=...; repeatable."),
    ] = None,
    output: Annotated[TailOutput, typer.Option("--output", "-o", help="How to show messages.")] = TailOutput.TEXT,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Follow a topic: show messages as they are stored, until Ctrl-C.

    Nothing is consumed, and no producer waits for it: whoever reads too slowly is told how many messages it missed.
    """
    from daemon.cli.client import connect
    from daemon.cli.follow import follow

    parameters = {"from": begin} | _selected(where or ())
    show = print if output is TailOutput.JSON else _show
    with connect(data_folder(context, data), control_url(context, url)) as client:
        try:
            follow(client, f"topics/{quote(topic, safe='')}/tail", parameters, show)
        except BrokenPipeError:
            # Whoever read this has had enough; nor is there anybody to read the rest of the buffer.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _selected(where: list[str] | tuple[str, ...]) -> dict[str, str]:
    selected: dict[str, str] = {}
    for one in where:
        name, equals, value = one.partition("=")
        if not equals or name not in _WHERE:
            fields = ", ".join(f"{field}=..." for field in _WHERE)
            raise CommandError(f"--where {one}: expected one of {fields}", ExitCode.USAGE)
        if name in selected:
            raise CommandError(f"--where {one}: {name} is given twice", ExitCode.USAGE)
        selected[name] = value
    return selected


def _show(line: str) -> None:
    print(text_of(json.loads(line)))


def text_of(told: dict[str, Any]) -> str:
    """One line: time, partition and offset, key, value; or what the daemon tells."""
    for name in ("missed", "notice", "ended"):
        if name in told:
            return f"{name}: {told[name]}"
    value = told["value"]
    shown = value if told["value_format"] != "json" else json.dumps(value, ensure_ascii=False)
    place = f"{told['partition']}@{told['offset']}"
    return f"{told['timestamp']}  {place}  {_word(told['key'])}  {_word(shown)}"


def _word(text: str | None) -> str:
    if text is None:
        return "-"
    # What could move the cursor or end the line is shown, not sent to the terminal.
    return text if text.isprintable() else json.dumps(text, ensure_ascii=True)[1:-1]
