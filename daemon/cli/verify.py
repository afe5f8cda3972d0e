"""`penstock topic verify`: check the files of topics."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder

_COLUMNS = [
    "topic",
    "partition",
    "from offset",
    "to offset",
    "segments",
    "batches",
    "messages",
    "bytes",
    "torn",
    "flaws",
]


def verify(
    context: typer.Context,
    topic: Annotated[str | None, typer.Argument(metavar="TOPIC", help="A topic. [default: all]")] = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make wrong indexes anew; for a data folder that no daemon uses.")
    ] = False,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Check every CRC, index entry and offset of topics on disk, offline or through the daemon that uses them.

    Ends with 1 where anything is damaged: each flaw is told with its file, position and offset. With --repair indexes
    that are wrong are made anew, and what is left is told; a damaged batch nothing can bring back.
    """
    from daemon.cli.show import show_json, show_rows, show_yaml

    folder, address = data_folder(context, data), control_url(context, url)
    if repair:
        _repair(folder, address, topic)
    found = _verified(folder, address, topic)
    match output:
        case Output.JSON:
            show_json(found)
        case Output.YAML:
            show_yaml(found)
        case Output.TABLE:
            show_rows(_COLUMNS, [_row(one["topic"], each) for one in found for each in one["partitions"]])
            for one in found:
                _tell(one)
    if any(one["flaws"] for one in found):
        raise typer.Exit(ExitCode.REFUSED)


def _repair(data: Path, url: str | None, topic: str | None) -> None:
    from actors.errors import PenstockError
    from daemon.offline import verify_offline

    if url is not None:
        raise CommandError("--repair works on the files themselves: stop the daemon, and name its folder with --data")
    try:
        repaired = verify_offline(data, topic, repair=True)
    except PenstockError as error:
        raise CommandError(f"--repair needs the data folder for itself: {error}") from error
    for one in repaired:
        for each in one["partitions"]:
            if each["wrong_indexes"]:
                count = len(each["wrong_indexes"])
                print(f"{one['topic']}-{each['partition']}: indexes of {count} segments made anew", file=sys.stderr)


def _verified(data: Path, url: str | None, topic: str | None) -> Sequence[Mapping[str, Any]]:
    """By the daemon at the URL or the one that uses the folder, else by ourselves."""
    from actors.errors import ConfigurationError, PenstockError
    from daemon.cli.client import connect
    from daemon.offline import verify_offline

    if url is None:
        try:
            return verify_offline(data, topic)
        except ConfigurationError as error:
            if not (data / "daemon.json").exists():
                raise CommandError(str(error)) from error
        except PenstockError as error:
            raise CommandError(str(error)) from error
    with connect(data, url) as client:
        names = [topic] if topic is not None else [item["name"] for item in client.items("topic")]
        return [client.post(f"topics/{quote(name, safe='')}/verify") for name in names]


def _row(topic: str, one: Mapping[str, Any]) -> list[Any]:
    numbers = ("start_offset", "end_offset", "segments", "batches", "records", "bytes")
    return [topic, one["partition"], *(one[name] for name in numbers), one["torn_bytes"] or "", one["flaws"]]


def _tell(topic: Mapping[str, Any]) -> None:
    for one in topic["partitions"]:
        for flaw in one["described"]:
            print(
                f"{flaw['file']}: position {flaw['position']}, offset {flaw['offset']}: {flaw['reason']}",
                file=sys.stderr,
            )
        if one["flaws"] > len(one["described"]):
            more = one["flaws"] - len(one["described"])
            print(f"{topic['topic']}-{one['partition']}: {more} more flaws", file=sys.stderr)
        if one["torn_bytes"]:
            print(
                f"{topic['topic']}-{one['partition']}: {one['torn_bytes']} bytes behind the last whole batch, which a "
                "crash left and the next start cuts off",
                file=sys.stderr,
            )
