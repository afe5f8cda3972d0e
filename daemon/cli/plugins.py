"""`penstock plugins`: plugin modules, and reading them anew."""

from __future__ import annotations

from collections.abc import Iterator
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
    if wrong := list(_wrong(told)):
        raise CommandError("\n  ".join(wrong))


def show_plugins(client: Client, output: Output, name: str | None = None) -> None:
    """The modules, or the one of a name."""
    from daemon.cli.show import show_as, show_rows

    items = [one for one in client.get("plugins")["items"] if name in {None, one["name"]}]
    if not items:
        raise CommandError(f"there is no plugin {name}; `penstock get plugins` shows those there are")
    header = ["name", "origin", "state", "declares", "file", "reason"]
    show_as(output, items, lambda: show_rows(header, [_row(one) for one in items]))


def _show_reload(told: dict[str, Any]) -> None:
    # Those that failed came and changed too; what became of them is told as what is wrong.
    failed = {failure["plugin"] for failure in told["failed"]}
    shown = {what: [name for name in told[what] if name not in failed] for what in ("added", "changed", "removed")}
    shown |= {what: told[what] for what in ("functions", "connections")}
    for what, names in shown.items():
        if names:
            print(f"{what}: {', '.join(names)}")
    if not any(shown.values()) and not any(_wrong(told)):
        print(f"nothing has changed in {told['folder']}")


def _wrong(told: dict[str, Any]) -> Iterator[str]:
    """What is wrong, under a line that says what to do."""
    failed, problems = told["failed"], [*told["problems"]]
    if told["folder"] and not told["folder_is_there"]:
        problems.append(f"there is no folder {told['folder']}: make it, and drop modules into it")
    if failed:
        plugins = "one plugin" if len(failed) == 1 else f"{len(failed)} plugins"
        yield f"{plugins} cannot be used: mend what is wrong, and run penstock plugins reload"
        yield from map(_told, failed)
    elif len(problems) > 1:
        yield "not all is well:"
    yield from problems


def _row(item: dict[str, Any]) -> list[Any]:
    failure = item.get("failure")
    reason = "" if failure is None else f"{_place(failure)}: {failure['reason']}"
    return [item["name"], item["origin"], item["state"], item["declares"], item["file"], reason]


def _told(failure: dict[str, Any]) -> str:
    kept = "; it serves on as it was before" if failure["kept"] else ""
    return f"plugin {failure['plugin']}: {_place(failure)}: {failure['reason']}{kept}"


def _place(failure: dict[str, Any]) -> str:
    return f"{failure['file']}:{failure['line']}" if failure["line"] else str(failure["file"])
