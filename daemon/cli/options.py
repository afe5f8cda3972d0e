"""Options that several commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATA = Path("var")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", show_default=False, help="Data folder [default: PENSTOCK_DATA, else ./var]."),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        show_default=False,
        help="Control API of a daemon elsewhere; its token is taken from PENSTOCK_TOKEN.",
    ),
]
FilesOption = Annotated[
    list[str],
    typer.Option("--file", "-f", metavar="FILE", help="Manifest; `-` reads standard input. May be given again."),
]


class Output(StrEnum):
    """How resources are shown."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to show it.")]


@dataclass(slots=True)
class Globals:
    """Options given before the command."""

    data: Path | None = None
    url: str | None = None


def data_folder(context: typer.Context, data: Path | None) -> Path:
    """The data folder: as the command says, or what stands before the command, or PENSTOCK_DATA, or ./var."""
    said = data or context.find_object(Globals).data or os.environ.get("PENSTOCK_DATA")  # type: ignore[union-attr]  # the root callback sets it
    return Path(said) if said else DEFAULT_DATA


def control_url(context: typer.Context, url: str | None) -> str | None:
    """The control API to talk to, where one was named."""
    return url or context.find_object(Globals).url  # type: ignore[union-attr]  # the root callback sets it
