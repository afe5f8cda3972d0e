"""Kind `connection`: a named way to another system, through one connector."""

from __future__ import annotations

from typing import Any

from config.resources.base import AppResource, Name


class Connection(
    AppResource,
    tag_field="kind",
    tag="connection",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A connection; `settings` are those of its connector, which checks them."""

    connector: Name
    settings: dict[str, Any] = {}
