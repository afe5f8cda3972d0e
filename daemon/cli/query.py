"""`penstock topic query`: look at messages without consuming them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder
from daemon.cli.selectors import (
    FromOption,
    IdOption,
    KeyOption,
    OffsetOption,
    PartitionOption,
    TagOption,
    ToOption,
    TopicArgument,
)

_PAGE = 200
_SHOWN = 200
_ID, _TAGS = "penstock-id", "penstock-tags"
_REASON, _SOURCE = "reason", "source_topic"
_COLUMNS = ("partition", "offset", "time", "key", "id", "tags", "reason", "value")


def query(  # noqa: PLR0917 - options are given by name
    context: typer.Context,
    topic: TopicArgument,
    partition: PartitionOption = None,
    offset: OffsetOption = None,
    since: FromOption = None,
    until: ToOption = None,
    key: KeyOption = None,
    message_id: IdOption = None,
    tag: TagOption = None,
    order: Annotated[
        str | None,
        typer.Option(
            "--order", metavar="ORDER", help="newest or oldest first. [default: newest, oldest with --offset or --from]"
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many messages.")] = 20,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on where a query ended; nothing else with it.")
    ] = None,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show messages by partition and offset, time, key, id or tag; nothing is consumed, masked fields show ***.

    Those of a dead-letter topic come with the reason why they are there.

    A time is found by an index. A key, an id or a tag is looked for message by message, up to 200,000 of them a page:
    what was looked at is told on standard error, with the cursor that goes on from there.
    """
    from daemon.cli.client import connect

    selectors = {
        "partition": partition,
        "offset": offset,
        "from": since,
        "to": until,
        "key": key,
        "id": message_id,
        "tag": tag,
        "order": order,
        "cursor": cursor,
    }
    path = f"topics/{quote(topic, safe='')}/messages"
    found: list[dict[str, Any]] = []
    with connect(data_folder(context, data), control_url(context, url)) as client:
        page = client.get(path, limit=min(limit, _PAGE), **selectors)
        found += page["messages"]
        while page["cursor"] and page["messages"] and len(found) < limit:
            page = client.get(path, limit=min(limit - len(found), _PAGE), cursor=page["cursor"])
            found += page["messages"]
    _show(found, output)
    _tell(page, enough=len(found) >= limit)


def _show(messages: Sequence[dict[str, Any]], output: Output) -> None:
    from daemon.cli.show import show_json, show_rows, show_yaml

    match output:
        case Output.JSON:
            show_json(messages)
        case Output.YAML:
            show_yaml(messages)
        case Output.TABLE:
            show_rows(_COLUMNS, [_row(one) for one in messages])


def _row(message: Mapping[str, Any]) -> list[Any]:
    headers = {one["name"]: one["value"] for one in message["headers"]}
    value = message["value"]
    text = json.dumps(value, ensure_ascii=False) if message["value_format"] == "json" else value or ""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    place = [message["partition"], message["offset"], message["timestamp"]]
    # A header of that name may be anybody's; those of dead letters say where they come from, too.
    reason = headers.get(_REASON) if _SOURCE in headers else None
    return [*place, message["key"], headers.get(_ID), headers.get(_TAGS), reason, shown]


def _tell(page: Mapping[str, Any], *, enough: bool) -> None:
    """What could not be read, and how far was looked where there is more to look at."""
    for reason in page["damage"]:
        print(f"damaged: {reason}", file=sys.stderr)
    if page["cursor"] is None:
        return
    if not enough:
        scanned = page["scanned"]
        print(f"looked at {scanned['messages']} messages, {scanned['bytes']} bytes:", file=sys.stderr)
        for one in page["looked"]:
            print(
                f"  partition {one['partition']}: offsets {one['from']} to {one['to']}, {one['left']} are left",
                file=sys.stderr,
            )
    print(f"there is more: --cursor {page['cursor']}", file=sys.stderr)
