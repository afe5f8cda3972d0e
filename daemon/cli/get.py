"""`penstock get`: what an instance holds, and how it fares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.kinds import checked_kind, full_name, name_of, path_of
from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder
from daemon.cli.plugins import show_plugins

if TYPE_CHECKING:  # httpx is slow to import, and `--help` needs none of it
    from daemon.cli.client import Client


# No kind of resource: what the operator has installed.
_PLUGINS = ("plugin", "plugins")


def get(
    context: typer.Context,
    *,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="app, product, device, ..., or plugins.")] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A device: PRODUCT/NAME or NAME.")] = None,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show everything, all of one kind, or one resource.

    YAML is a manifest that can be applied again; `***` in it stands for a secret that stays as it is.
    """
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        if kind in _PLUGINS:
            show_plugins(client, output, name)
        elif kind is not None and name is not None:
            _one(client, checked_kind(kind), name, output)
        else:
            _many(client, None if kind is None else checked_kind(kind), output)


def _one(client: Client, kind: str, name: str, output: Output) -> None:
    from daemon.cli.show import show_json, show_manifest, show_resource

    item = client.get(path_of(kind, full_name(client, kind, name)))
    if output is Output.JSON:
        show_json(item)
    elif output is Output.YAML:
        show_manifest([item])
    else:
        show_resource(kind, item)


def _many(client: Client, kind: str | None, output: Output) -> None:
    from config.manifest import KINDS
    from daemon.cli.show import show_json, show_manifest, show_rows

    found = [(each, item) for each in ([kind] if kind else KINDS) for item in client.items(each)]
    if output is Output.JSON:
        show_json([item for _, item in found])
    elif output is Output.YAML:
        show_manifest([item for _, item in found])
    elif found:
        show_rows(["kind", "name", "app", "state", "title"], [_row(each, item) for each, item in found])
    else:
        typer.echo(f"there is no {kind} yet" if kind else "nothing is applied yet: penstock apply -f FILE", err=True)


def _row(kind: str, item: dict[str, Any]) -> list[Any]:
    status = item.get("status") or {}
    state = status.get("state") or ("disabled" if item.get("enabled") is False else None)
    if state == "failed" and status.get("reason"):
        state = f"failed: {status['reason']}"
    elif status.get("holding"):
        state = f"{state}, holds: {status['holding']}"
    return [kind, name_of(kind, item), item.get("app"), state, item.get("title")]
