"""`penstock check`: validate manifests without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.failure import CommandError
from daemon.cli.options import FilesOption


def check(
    files: FilesOption,
    plugins: Annotated[
        Path | None,
        typer.Option(
            "--plugins", metavar="FOLDER", help="Know the connectors of plugins in it, too.", show_default=False
        ),
    ] = None,
) -> None:
    """Check manifests as `apply` would, without a daemon.

    What they refer to must be in them too. Whether the code of functions runs is seen when they are applied.
    """
    from config.errors import ManifestError
    from config.manifest import load_all
    from config.validate import validate
    from daemon.catalog.certificates import CertificateChecks
    from daemon.catalog.statements import statement_problems
    from daemon.cli.connectors import installed_connectors, settings_types, unknown_connectors
    from daemon.cli.sources import read_sources

    connectors = installed_connectors(plugins)
    types = settings_types(connectors)
    try:
        documents = load_all(read_sources(files), settings_types=types)
        wrong = unknown_connectors(documents, types) or list(statement_problems(documents, lambda _: None, connectors))
        if wrong:
            raise ManifestError(wrong)  # noqa: TRY301 - told in one place with all other problems
        warnings = validate(documents)
        of_certificates = list(CertificateChecks.of_manifest(documents))
        if wrong := [problem for problem in of_certificates if not problem.warning]:
            raise ManifestError(wrong)  # noqa: TRY301 - likewise
        warnings += of_certificates
    except ManifestError as error:
        count = len(error.problems)
        raise CommandError(f"{count} {'problem' if count == 1 else 'problems'}\n{error}") from error
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    print(f"{len(documents)} resources, no problems")
