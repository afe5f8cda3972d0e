"""The command line: one file a verb, each importing what it needs only when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli import (
    apply,
    backend,
    backlog,
    backup,
    ca,
    check,
    connection,
    delete,
    demo,
    device,
    function,
    get,
    group,
    openapi,
    plugins,
    route,
    run,
    session,
    status,
    tail,
    task,
    top,
    topic,
    user,
)
from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import Globals

app = typer.Typer(
    name="penstock",
    help="One daemon from a device's MQTT report to an application's HTTP answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: frames and colours help neither a pipe nor a narrow terminal
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the parameter is an option's value
    if wanted:
        from importlib.metadata import version

        print(f"penstock {version('penstock')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    *,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder, for every command.", show_default=False)
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Control API of a daemon elsewhere.", show_default=False)
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    """Keep what was given before the command."""
    context.obj = Globals(data=data, url=url)


app.command("run")(run.run)
app.command("apply")(apply.apply)
app.command("check")(check.check)
app.command("get")(get.get)
app.command("delete")(delete.delete)
app.command("status")(status.status)
app.command("backlog")(backlog.backlog)
app.command("audit")(backlog.audit)
app.command("tail")(tail.tail)
app.command("top")(top.top)
app.command("backup")(backup.backup)
app.command("demo")(demo.demo)
app.add_typer(task.app, name="task")
app.add_typer(topic.app, name="topic")
app.add_typer(group.app, name="group")
app.add_typer(device.app, name="device")
app.add_typer(session.app, name="session")
app.add_typer(user.app, name="user")
app.add_typer(connection.app, name="connection")
app.add_typer(route.app, name="route")
app.add_typer(backend.app, name="backend")
app.add_typer(function.app, name="function")
app.add_typer(plugins.app, name="plugins")
app.add_typer(openapi.app, name="openapi")
app.add_typer(ca.app, name="ca")


def main() -> None:
    """Run the command line; ends the process with the command's exit code."""
    try:
        app()
    except CommandError as error:
        print(f"penstock: {error}", file=sys.stderr)
        sys.exit(error.code)
    except OSError as error:  # the machine's: a full disk behind `>`, no more files, a folder that has gone
        print(f"penstock: {error}", file=sys.stderr)
        sys.exit(ExitCode.REFUSED)


if __name__ == "__main__":
    main()
