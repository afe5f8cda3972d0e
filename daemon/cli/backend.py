"""`penstock backend`: test, deploy and publish backends."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.cli.kinds import path_of
from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder
from daemon.cli.route import EnvironmentOption, RemarkOption, pairs, show_published, show_test

app = typer.Typer(help="Test, deploy and publish backends.", no_args_is_help=True)

BackendName = Annotated[str, typer.Argument(metavar="NAME", help="The backend.")]


@app.command("test")
def try_backend(
    context: typer.Context,
    *,
    name: BackendName,
    written: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="NAME=VALUE", help="Left out: the input's test_default."),
    ] = None,
    environment: EnvironmentOption = "RELEASE",
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Call a backend as it is saved, deployed or not, for real."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        path = f"{path_of('backend', name)}/test"
        show_test(client.post(path, {"inputs": pairs(written)}, environment=environment), output)


@app.command()
def deploy(context: typer.Context, *, name: BackendName, data: DataOption = None, url: UrlOption = None) -> None:
    """Make the saved copy the one that is published from now on; what is served does not change."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        answer = client.post(f"{path_of('backend', name)}/deploy")
    print(f"backend {name}: version {answer['version']} is deployed; penstock backend publish {name} serves it")


@app.command()
def publish(
    context: typer.Context,
    *,
    name: BackendName,
    environment: EnvironmentOption = "RELEASE",
    remark: RemarkOption = "",
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Make or update the backend's route, and serve the backend as it is deployed."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        body = {"environment": environment, "remark": remark}
        show_published(client.post(f"{path_of('backend', name)}/publish", body))
