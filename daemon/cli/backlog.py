"""`penstock backlog`: who lags, why, and what to do about it. `penstock audit`: what was done by itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from daemon.cli.failure import CommandError
from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder


def backlog(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC|GROUP]", help="One topic's groups, or one group.", show_default=False),
    ] = None,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show who lags behind, why, and what helps; the worst first."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_json, show_yaml

    with connect(data_folder(context, data), control_url(context, url)) as client:
        found = client.get("backlog")["groups"]
        if name is not None:
            found = [one for one in found if name in {one["topic"], one["group"]}]
            if not found:
                raise CommandError(f"no group is named {name}, and none reads a topic of that name")
    if output is Output.JSON:
        show_json({"groups": found})
    elif output is Output.YAML:
        show_yaml(found)
    else:
        import shutil

        from daemon.cli.backlog_page import page

        width = shutil.get_terminal_size(fallback=(100, 24)).columns
        print("\n".join(page(found, detailed=name is not None, width=width)))


def audit(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="So many of the last entries.")] = 20,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show what the daemon did to resources by itself, with before and after; the newest first."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_json, show_rows, show_yaml

    with connect(data_folder(context, data), control_url(context, url)) as client:
        entries: list[dict[str, Any]] = client.get("audit", limit=limit)["entries"]
    if output is Output.JSON:
        show_json({"entries": entries})
    elif output is Output.YAML:
        show_yaml(entries)
    else:
        from daemon.cli.backlog_page import moment

        fields = ("by", "subject", "action", "before", "after", "outcome", "reason")
        rows = [[moment(one["at"]), *(one[field] for field in fields)] for one in entries]
        show_rows(("time", *fields), rows)
