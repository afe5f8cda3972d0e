"""`penstock plugins`: plugin modules, and reading them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from daemon.cli.failure import CommandError
from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder

if TYPE_CHECKING:  # httpx is slow to import, and `--help` needs none of it
    from daemon.cli.client import Client

app = typer.Typer(help="Show plugin modules, and read them anew.", no_args_is_help=True)


@app.command("list")
def list_plugins(
    context: typer.Context, *, output: OutputOption = Output.TABLE, data: DataOption = None, url: UrlOption = None
) -> None:
    """Show every plugin module, what it declares and what is wrong with it; as `penstock get plugins`."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        show_plugins(client, output)


@app.command()
def reload(
    context: typer.Context, *, output: OutputOption = Output.TABLE, data: DataOption = None, url: UrlOption = None
) -> None:
    """Pick up plugin modules that came, changed or went; nothing else is touched.

    Calls in flight finish with what they began with. A module that fails keeps its old version serving. Connections of
    a changed connector are built anew.
    """
    from daemon.cli.client import connect
    from daemon.cli.show import show_as

    with connect(data_folder(context, data), control_url(context, url)) as client:
        told = client.post("plugins/reload")
    show_as(output, told, lambda: _show_reload(told))
    wrong = [_told(failure) for failure in told["failed"]] + told["problems"]
    if wrong:
        raise CommandError("\n".join(wrong))


def show_plugins(client: Client, output: Output, name: str | None = None) -> None:
    """The modules, or the one of a name."""
    from daemon.cli.show import show_as, show_rows

    items = [one for one in client.get("plugins")["items"] if name in {None, one["name"]}]
    if not items:
        raise CommandError(f"there is no plugin {name}")
    header = ["name", "origin", "state", "declares", "file", "reason"]
    show_as(output, items, lambda: show_rows(header, [_row(one) for one in items]))


def _show_reload(told: dict[str, Any]) -> None:
    for what in ("added", "changed", "removed", "functions", "connections"):
        if told[what]:
            print(f"{what}: {', '.join(told[what])}")
    if not any(told.values()):
        print("nothing has changed")


def _row(item: dict[str, Any]) -> list[Any]:
    failure = item.get("failure")
    reason = "" if failure is None else f"{failure['file']}:{failure['line']}: {failure['reason']}"
    return [item["name"], item["origin"], item["state"], item["declares"], item["file"], reason]


def _told(failure: dict[str, Any]) -> str:
    return f"plugin {failure['plugin']}: {failure['file']}:{failure['line']}: {failure['reason']}"
