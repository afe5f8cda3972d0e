"""`penstock topic replay`: send messages again."""

from __future__ import annotations

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import DataOption, UrlOption, control_url, data_folder
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


def replay(  # noqa: PLR0917 - options are given by name
    context: typer.Context,
    topic: TopicArgument,
    target: Annotated[
        str | None, typer.Option("--target", metavar="TOPIC", help="Where to. [default: the same topic]")
    ] = None,
    partition: PartitionOption = None,
    offset: OffsetOption = None,
    since: FromOption = None,
    until: ToOption = None,
    key: KeyOption = None,
    message_id: IdOption = None,
    tag: TagOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many messages, the oldest first.")
    ] = None,
    *,
    all_messages: Annotated[bool, typer.Option("--all", help="All that the topic holds.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Send chosen messages of a topic again, to the same or another one; it is always logged.

    Keys and headers stay; `penstock-replay-of` and `penstock-replay-time` say where and when they come from. What
    comes in after the beginning is not sent. Order is kept within each partition.
    """
    from daemon.cli.client import connect

    body: dict[str, Any] = {
        "target": target,
        "partition": partition,
        "offset": offset,
        "from": since,
        "to": until,
        "key": key,
        "id": message_id,
        "tag": tag,
        "limit": limit,
        "dry_run": dry_run,
    }
    chosen = (partition, offset, since, until, key, message_id, tag, limit)
    if not (all_messages or dry_run) and all(value is None for value in chosen):
        raise CommandError("say which messages, or --all for all that the topic holds", ExitCode.USAGE)
    said = {name: value for name, value in body.items() if value is not None}
    with connect(data_folder(context, data), control_url(context, url)) as client:
        done = client.post(f"topics/{quote(topic, safe='')}/replay", said)
    for reason in done["damage"]:
        print(f"damaged, not sent: {reason}", file=sys.stderr)
    if not done["complete"]:
        places = ", ".join(f"partition {one['partition']} offset {one['offset']}" for one in done["positions"])
        raise CommandError(f"{done['messages']} messages were sent, then: {done['reason']}; it can go on at {places}")
    count = done["messages"]
    were = "would be" if dry_run else "was" if count == 1 else "were"
    print(f"{count} message{'' if count == 1 else 's'} {were} sent to topic {target or topic}")
