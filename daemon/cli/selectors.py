"""Options that say which messages are meant."""

from __future__ import annotations

from typing import Annotated

import typer

TopicArgument = Annotated[str, typer.Argument(metavar="TOPIC", help="A topic.")]
PartitionOption = Annotated[int | None, typer.Option("--partition", metavar="N", min=0, help="Only this partition.")]
OffsetOption = Annotated[
    int | None,
    typer.Option(
        "--offset", metavar="OFFSET", min=0, help="From this offset of the partition on; newest first: back from it."
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="From this time on: 2026-03-01T12:00:00Z, or a time ago such as 10m."),
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this time.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="With this key. Where partitions were added since, name the older one with --partition.",
    ),
]
IdOption = Annotated[str | None, typer.Option("--id", metavar="ID", help="With this id, as its producer gave it.")]
TagOption = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="With this tag.")]
