"""`penstock group`: see how far consumer groups are, and set them to another position."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder

app = typer.Typer(help="See consumer groups, their lag and their members; set their positions.", no_args_is_help=True)
NameOption = Annotated[str, typer.Argument(metavar="NAME", help="A group; a task's group bears the task's name.")]


@app.command("list")
def list_groups(
    context: typer.Context,
    topic: Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only groups that read it.")] = None,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """List groups: what waits for them, how fast it comes and goes, and when it will be gone."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_as, show_rows

    with connect(data_folder(context, data), control_url(context, url)) as client:
        found = [one for one in client.items("group") if topic in {None, one["topic"]}]
    header = ["name", "topic", "kind", "members", "lag", "bytes", "age", "in/s", "out/s", "gone in"]
    show_as(output, found, lambda: show_rows(header, [_row(one) for one in found]))


@app.command("show")
def show_group(
    context: typer.Context,
    name: NameOption,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show one group: each partition's position, lag and reader, and each member's progress and time by step."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_as

    with connect(data_folder(context, data), control_url(context, url)) as client:
        found = client.get(_path(name))
    show_as(output, found, lambda: _show(found))


@app.command()
def reset(
    context: typer.Context,
    name: NameOption,
    *,
    to: Annotated[
        str,
        typer.Option("--to", metavar="WHERE", help="earliest, latest, an offset, or a time (2026-01-31T12:00:00Z)."),
    ],
    partition: Annotated[
        int | None, typer.Option("--partition", metavar="N", help="Only this partition. [default: all]", min=0)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also while members are live: they are thrown out and begin anew.")
    ] = False,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Have a group read on from somewhere else; refused while members are live, and always logged."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_rows

    body: dict[str, Any] = {"to": int(to) if to.isdecimal() else to, "force": force}
    if partition is not None:
        body["partition"] = partition
    with connect(data_folder(context, data), control_url(context, url)) as client:
        moved = client.post(f"{_path(name)}/reset", body)["partitions"]
    show_rows(["partition", "before", "after"], [[one["partition"], one["before"], one["after"]] for one in moved])


@app.command()
def delete(context: typer.Context, name: NameOption, data: DataOption = None, url: UrlOption = None) -> None:
    """Forget a group of HTTP consumers, and how far it has come."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        client.delete(_path(name))
    print(f"forgot group {name}")


def _path(name: str) -> str:
    return f"groups/{quote(name, safe='')}"


def _row(group: dict[str, Any]) -> list[Any]:
    return [
        group["name"],
        group["topic"],
        group["kind"],
        len(group["members"]),
        group["lag"],
        group["lag_bytes"],
        _duration(group["lag_seconds"]),
        f"{group['produce_rate']:.1f}",
        f"{group['consume_rate']:.1f}",
        _drain(group),
    ]


def _show(group: dict[str, Any]) -> None:
    from daemon.cli.show import show_fields, show_rows

    show_fields(
        {
            "group": group["name"],
            "topic": group["topic"],
            "members are": "runners of a task" if group["kind"] == "task" else "HTTP consumers",
            "lag": f"{group['lag']} messages",
            "gone in": _drain(group),
            "rebalances in the last minute": group["rebalances"],
            "fenced commits": group["refused_commits"],
        }
    )
    print()
    show_rows(
        ["partition", "committed", "end", "lag", "done above", "bytes", "age", "in/s", "out/s", "member"],
        [
            [
                one["partition"],
                one["committed"],
                one["high_watermark"],
                one["lag"],
                one["confirmed_above"] or None,
                one["lag_bytes"],
                _duration(one["lag_seconds"]),
                f"{one['produce_rate']:.1f}",
                f"{one['consume_rate']:.1f}",
                one["member"] or "nobody",
            ]
            for one in group["partitions"]
        ],
    )
    if group["members"]:
        print()
        show_rows(["member", "partitions", "last progress", "time by step"], [_member(one) for one in group["members"]])
    if group["expelled"]:
        print()
        show_rows(
            ["thrown out", "ago", "reason"],
            [[one["member"], _duration(one["seconds_ago"]), one["reason"]] for one in group["expelled"]],
        )


def _member(member: dict[str, Any]) -> list[Any]:
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in member["seconds"].items() if seconds)
    return [
        member["name"],
        ", ".join(map(str, member["partitions"])),
        f"{_duration(member['last_progress_seconds'])} ago",
        steps,
    ]


def _drain(group: dict[str, Any]) -> str:
    if not group["lag"]:
        return "no lag"
    return "growing" if group["growing"] else _duration(group["drain_seconds"]) or ""


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if seconds < 60:  # noqa: PLR2004 - seconds a minute
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
