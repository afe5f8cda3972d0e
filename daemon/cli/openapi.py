"""`penstock openapi`: documents of API groups, and routes out of documents."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from daemon.cli.options import DataOption, UrlOption, control_url, data_folder
from daemon.cli.route import EnvironmentOption

app = typer.Typer(help="OpenAPI documents out of routes, and routes out of documents.", no_args_is_help=True)


@app.command("export")
def export(
    context: typer.Context,
    *,
    group: Annotated[str, typer.Argument(metavar="GROUP", help="An API group; an app's default one has its name.")],
    environment: EnvironmentOption = "RELEASE",
    reader: Annotated[
        str | None,
        typer.Option(
            "--app",
            metavar="APP",
            help="As this app gets it, with its private routes; left out: as others do.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Print the OpenAPI 3.1 document of a group's published routes."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_json

    with connect(data_folder(context, data), control_url(context, url)) as client:
        asked = {"environment": environment} | ({} if reader is None else {"app": reader})
        show_json(client.get(f"api_groups/{quote(group, safe='')}/openapi", **asked))


@app.command("import")
def import_routes(
    context: typer.Context,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="An OpenAPI 3 document; `-` reads standard input.")],
    app_name: Annotated[str, typer.Option("--app", metavar="APP", help="Whose the routes are to be.")],
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="GROUP", help="Left out: the app's default one.", show_default=False),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", metavar="NAME", help="What answers; left out: the document's examples.", show_default=False
        ),
    ] = None,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Print the routes of a document as a manifest, to be looked at and applied."""
    from daemon.cli.client import connect
    from daemon.cli.sources import read_sources

    ((name, text),) = read_sources([file])
    given = {"app": app_name, "group": group, "backend": backend}
    with connect(data_folder(context, data), control_url(context, url)) as client:
        asked = {key: value for key, value in given.items() if value is not None}
        answer = client.post_manifest("routes/import", text, name, **asked)
    print(answer["manifest"], end="")
