"""Kinds and names as they are given on the command line, and where the control API has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from daemon.cli.failure import CommandError, ExitCode

if TYPE_CHECKING:  # httpx is slow to import, and `--help` needs none of it
    from daemon.cli.client import Client

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="app, product, device, topic, ...")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Its name; a device: PRODUCT/NAME.")]


def checked_kind(written: str) -> str:
    """The kind's own word; its plural is taken too.

    Raises:
        CommandError: there is no such kind.
    """
    from config.manifest import KINDS

    kind = written.lower()
    if kind not in KINDS and kind.removesuffix("s") in KINDS:
        kind = kind.removesuffix("s")
    if kind not in KINDS:
        raise CommandError(f"unknown kind {written}; known kinds: {', '.join(KINDS)}", ExitCode.USAGE)
    return kind


def path_of(kind: str, name: str) -> str:
    """Where the control API has a resource, below /api/v1.

    Raises:
        CommandError: nothing can be called that.
    """
    if not name or ("/" in name and kind != "device"):
        raise CommandError(f"no {kind} is called {name!r}: a name is letters, digits, `.`, `_` and `-`", ExitCode.USAGE)
    return f"{kind}s/{quote(name, safe='/' if kind == 'device' else '')}"


def full_name(client: Client, kind: str, name: str) -> str:
    """A device's name alone with its product before it, where only one product has such a device.

    Raises:
        CommandError: no product has one, or several have.
    """
    if kind != "device" or "/" in name:
        return name
    products = [str(item["product"]) for item in client.items("device") if item["name"] == name]
    if not products:
        raise CommandError(f"there is no device {name}")
    if len(products) > 1:
        choices = ", ".join(f"{product}/{name}" for product in sorted(products))
        raise CommandError(f"several products have a device {name}; say which: {choices}", ExitCode.USAGE)
    return f"{products[0]}/{name}"


def name_of(kind: str, item: dict[str, Any]) -> str:
    """The name under which an item is fetched."""
    return f"{item['product']}/{item['name']}" if kind == "device" else str(item["name"])
