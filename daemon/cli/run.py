"""`penstock run`: the daemon itself."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import DataOption, data_folder
from daemon.limits import imports_for_good

if TYPE_CHECKING:  # `--help` needs no settings
    from config.settings import Settings


def run(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings; PENSTOCK_SECTION__NAME overrides.", show_default=False
        ),
    ] = None,
    *,
    reissue_secrets: Annotated[
        bool,
        typer.Option(
            "--reissue-secrets",
            help="The instance key is lost: make a new one and forget every secret; each must be issued again.",
        ),
    ] = False,
    data: DataOption = None,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C drains it."""
    from actors.errors import ConfigurationError

    reload = partial(_settings, config)
    try:
        settings = reload()
    except ConfigurationError as error:
        raise CommandError(str(error), ExitCode.CONFIGURATION) from error
    # The whole daemon: imported once it is clear that it can run.
    with imports_for_good():
        from daemon import lifecycle

    raise typer.Exit(lifecycle.run(settings, data_folder(context, data), reload, reissue_secrets=reissue_secrets))


def _settings(config: Path | None) -> Settings:
    """The settings as they are written now; at SIGHUP too.

    Raises:
        ConfigurationError: with all that is wrong.
    """
    from actors.errors import ConfigurationError
    from config.errors import SettingsError
    from config.load import load_settings

    try:
        return load_settings(config, os.environ)
    except SettingsError as error:
        raise ConfigurationError(f"the settings cannot be used\n{error}") from error
