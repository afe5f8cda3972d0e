"""`penstock run`: the daemon itself."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import DataOption, data_folder


def run(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings; PENSTOCK_SECTION__NAME overrides.", show_default=False
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C drains it."""
    from config.errors import SettingsError
    from config.load import load_settings

    reload = partial(load_settings, config, os.environ)
    try:
        settings = reload()
    except SettingsError as error:
        raise CommandError(f"the settings cannot be used\n{error}", ExitCode.CONFIGURATION) from error
    from daemon import lifecycle

    raise typer.Exit(lifecycle.run(settings, data_folder(context, data), reload))
