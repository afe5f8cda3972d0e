"""`penstock ca`: the instance's own certificate authority."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.failure import CommandError, ExitCode
from daemon.cli.options import DataOption, UrlOption, control_url, data_folder

app = typer.Typer(help="The instance's own certificate authority.", invoke_without_command=True)

OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="Write it there instead of showing it.")
]


@app.callback()
def certificate(
    context: typer.Context,
    out: OutOption = None,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Show the authority's certificate: what clients are given to believe in this instance."""
    if context.invoked_subcommand is not None:
        return
    pem = _certificate(context, data, url)
    if out is None:
        print(pem, end="")
    else:
        out.write_text(pem)


def _certificate(context: typer.Context, data: Path | None, url: str | None) -> str:
    """From the data folder, also while no daemon runs; from a daemon elsewhere where one is named."""
    from daemon.cli.client import connect

    folder, named = data_folder(context, data), control_url(context, url)
    path = folder / "ca" / "ca.pem"
    if named is None and path.exists():
        return path.read_text()
    with connect(folder, named) as client:
        return client.get_text("ca.pem")


@app.command()
def issue(
    context: typer.Context,
    *,
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="The device's product.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The device.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where key and certificate are put.")],
    days: Annotated[int, typer.Option("--days", min=1, max=36_500, help="How long it is good for.")] = 3650,
    data: DataOption = None,
) -> None:
    """Make a certificate that a device logs in with instead of a password, where `client_ca: auto` is set.

    Puts NAME.key (mode 0600), NAME.pem and ca.pem into DIR. Works on the data folder itself.
    """
    from datetime import timedelta

    from actors.errors import ConfigurationError
    from daemon.authority import CertificateAuthority

    _check_name(product, name)
    folder = data_folder(context, data)
    if not folder.is_dir():
        raise CommandError(f"there is no data folder {folder}: give it with --data or PENSTOCK_DATA", ExitCode.USAGE)
    authority = CertificateAuthority(folder)
    try:
        issued = authority.issue_client(product, name, timedelta(days=days))
        certificate = authority.certificate()
    except ConfigurationError as error:
        raise CommandError(str(error), ExitCode.CONFIGURATION) from error
    out.mkdir(parents=True, exist_ok=True)
    file = name.replace(":", "-")
    (out / f"{file}.key").unlink(missing_ok=True)
    key = os.open(out / f"{file}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(key, "wb") as written:
        written.write(issued.key)
    (out / f"{file}.pem").write_bytes(issued.certificate)
    (out / "ca.pem").write_bytes(certificate)
    print(f"{out / file}.pem and its key log in as {product}/{name}; {out / 'ca.pem'} is whom the device believes")


def _check_name(product: str, name: str) -> None:
    """Refuse what no device can be called."""
    import msgspec

    from config.resources.base import DeviceName, Name

    for value, kind in ((product, Name), (name, DeviceName)):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise CommandError(f"`{value}` is no name of a product or device: {error}", ExitCode.USAGE) from error
