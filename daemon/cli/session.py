"""`penstock session`: see MQTT sessions that outlive their connections, and drop one."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder

app = typer.Typer(
    help="See MQTT sessions that outlive their connections, and what waits for them.", no_args_is_help=True
)
SessionArgument = Annotated[str, typer.Argument(metavar="SESSION", help="Its id, as `penstock session list` shows it.")]


@app.command("list")
def list_sessions(
    context: typer.Context,
    *,
    device: Annotated[
        str | None, typer.Option("--device", metavar="PRODUCT/DEVICE", help="Only those of this device.")
    ] = None,
    app_name: Annotated[str | None, typer.Option("--app", metavar="APP", help="Only those of this app.")] = None,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """List sessions: whose they are, whether they are connected, and what waits for them."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_as, show_rows

    with connect(data_folder(context, data), control_url(context, url)) as client:
        found = list(client.items("session", device=device, app=app_name))
    header = ["session", "account", "client id", "mqtt", "connected", "subscriptions", "queued", "bytes", "expires"]
    show_as(output, found, lambda: show_rows(header, [_row(one) for one in found]))


@app.command("show")
def show_session(
    context: typer.Context,
    session: SessionArgument,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show one session with its subscriptions."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_as

    with connect(data_folder(context, data), control_url(context, url)) as client:
        found = client.get(_path(session))
    show_as(output, found, lambda: _show(found))


@app.command()
def drop(context: typer.Context, session: SessionArgument, data: DataOption = None, url: UrlOption = None) -> None:
    """End a session: its connection, its subscriptions, and all that waits for it."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        client.delete(_path(session))
    print(f"dropped session {session}")


def _path(session: str) -> str:
    return f"sessions/{quote(session, safe='')}"


def _row(one: dict[str, Any]) -> list[Any]:
    return [
        one["session"],
        _account(one),
        one["client_id"],
        one["mqtt"],
        "yes" if one["connected"] else "no",
        one["subscriptions"],
        one["queued_messages"],
        one["queued_bytes"],
        _expiry(one),
    ]


def _show(one: dict[str, Any]) -> None:
    from daemon.cli.show import show_fields, show_rows

    show_fields(
        {
            "session": one["session"],
            "account": _account(one),
            "client id": one["client_id"],
            "mqtt": one["mqtt"],
            "connected": "yes" if one["connected"] else f"no, since {one['disconnected_at']}",
            "queued": f"{one['queued_messages']} messages, {one['queued_bytes']} bytes",
            "QoS 2 not released": one["open_messages"],
            "expires": _expiry(one),
        }
    )
    if one["subscriptions"]:
        print()
        show_rows(
            ["filter", "qos", "no local", "retain as published", "identifiers"],
            [
                [
                    each["filter"],
                    each["qos"],
                    "yes" if each["no_local"] else "no",
                    "yes" if each["retain_as_published"] else "no",
                    ", ".join(map(str, each["identifiers"])) or None,
                ]
                for each in one["subscriptions"]
            ],
        )


def _account(one: dict[str, Any]) -> str:
    account = one["account"]
    return f"{account['kind']} {account['name']}"


def _expiry(one: dict[str, Any]) -> str:
    if one["expiry_seconds"] is None:
        return "never"
    return one["expires_at"] or f"{one['expiry_seconds']} s after its connection"
