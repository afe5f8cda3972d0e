"""`penstock route`: the life of a route, from draft to offline."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.kinds import path_of
from daemon.cli.options import DataOption, Output, OutputOption, UrlOption, control_url, data_folder

app = typer.Typer(help="Test, publish, switch and take routes offline.", no_args_is_help=True)

RouteName = Annotated[str, typer.Argument(metavar="NAME", help="The route.")]
EnvironmentOption = Annotated[str, typer.Option("--environment", "-e", metavar="NAME", help="The environment.")]
RemarkOption = Annotated[str, typer.Option("--remark", "-m", metavar="TEXT", help="Why, for the history.")]


@app.command("test")
def try_route(
    context: typer.Context,
    *,
    name: RouteName,
    environment: EnvironmentOption = "RELEASE",
    method: Annotated[str | None, typer.Option("--method", "-X", help="For routes of any method.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Of the path.")
    ] = None,
    rest: Annotated[str, typer.Option("--rest", metavar="PATH", help="What is below a prefix.")] = "",
    query: Annotated[
        list[str] | None, typer.Option("--query", "-q", metavar="NAME=VALUE", help="Of the query.")
    ] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", metavar="NAME=VALUE", help="A header.")] = None,
    body: Annotated[str, typer.Option("--body", "-b", help="The body, JSON unless a header says otherwise.")] = "",
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Call a route as it is applied, published or not, and show request, answer and the time of each step.

    The call is made for real, as the route's own app: what its backend does is done.
    """
    from daemon.cli.client import connect

    asked = {
        "method": method,
        "parameters": pairs(parameter),
        "rest": rest,
        "query": pairs(query),
        "headers": pairs(header),
        "body": body,
    }
    with connect(data_folder(context, data), control_url(context, url)) as client:
        show_test(client.post(f"{path_of('route', name)}/test", asked, environment=environment), output)


@app.command()
def publish(
    context: typer.Context,
    *,
    name: RouteName,
    environment: EnvironmentOption = "RELEASE",
    remark: RemarkOption = "",
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Serve a route as it is applied now, as a new version."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        body = {"environment": environment, "remark": remark}
        show_published(client.post(f"{path_of('route', name)}/publish", body))


@app.command()
def versions(
    context: typer.Context,
    *,
    name: RouteName,
    output: OutputOption = Output.TABLE,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show the versions of a route that are kept, the newest first."""
    from daemon.cli.client import connect
    from daemon.cli.show import show_json, show_rows

    with connect(data_folder(context, data), control_url(context, url)) as client:
        items = client.get(f"{path_of('route', name)}/versions")["items"]
    if output is not Output.TABLE:
        show_json(items)
    elif items:
        fields = ["version", "environment", "published", "served", "remark"]
        show_rows(fields, [[one[field] for field in fields] for one in items])
    else:
        typer.echo(f"route {name} was never published: penstock route publish {name}", err=True)


@app.command()
def switch(
    context: typer.Context,
    *,
    name: RouteName,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="As `penstock route versions` shows it.")],
    environment: EnvironmentOption = "RELEASE",
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Serve another version of a route, an older one as well as a newer one."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        body = {"environment": environment, "version": version}
        show_published(client.post(f"{path_of('route', name)}/switch", body))


@app.command()
def offline(
    context: typer.Context,
    *,
    name: RouteName,
    environment: EnvironmentOption = "RELEASE",
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Serve a route no more in an environment; its versions are kept."""
    from daemon.cli.client import connect

    with connect(data_folder(context, data), control_url(context, url)) as client:
        client.post(f"{path_of('route', name)}/offline", {"environment": environment})
    print(f"route {name} is offline in {environment}")


def pairs(written: list[str] | None) -> dict[str, str]:
    """`NAME=VALUE` options by name.

    Raises:
        CommandError: one has no `=`.
    """
    found = {}
    for one in written or ():
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise CommandError(f"expected NAME=VALUE, got {one}", ExitCode.USAGE)
        found[name] = value
    return found


def show_published(answer: dict[str, Any]) -> None:
    """What is served now."""
    called = f"{answer['method']} {answer['path']}"
    print(f"route {answer['route']}: version {answer['version']} is served in {answer['environment']} ({called})")


def show_test(tried: dict[str, Any], output: Output) -> None:
    """Request, answer, and where the time went."""
    from daemon.cli.show import show_json, show_rows

    if output is not Output.TABLE:
        show_json(tried)
        return
    asked, answer = tried["request"], tried["answer"]
    print(f"> {asked['method']} {asked['target']}")
    _print_message(">", list(asked["headers"].items()), asked)
    print(f"< {answer['status']}")
    _print_message("<", answer["headers"], answer)
    for reason in tried["reasons"]:
        print(f"why: {reason}")
    rows = [[one["step"], f"{one['milliseconds']:.3f}"] for one in tried["steps"]]
    show_rows(["step", "ms"], [*rows, ["in all", f"{tried['milliseconds']:.3f}"]])


def _print_message(mark: str, headers: list[Any], message: dict[str, Any]) -> None:
    for name, value in headers:
        print(f"{mark} {name}: {value}")
    body = message.get("body", message.get("body_base64", ""))
    if body:
        print(f"{mark}\n{body}")
    if message.get("truncated"):
        print(f"{mark} (there is more of it)")
