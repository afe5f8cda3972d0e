"""Kinds `api_group` and `environment`: routes that belong together, and where they are published."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, Name, Resource

VariableName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$(?!\n)",
        description="a variable's name (letters, digits, `_`, `-`; a letter first)",
    ),
]
VariableValue = Annotated[str, msgspec.Meta(max_length=1024)]
DomainName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?=.{1,253}$)(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$(?!\n)",
        description="a domain name, such as api.example.com or *.example.com",
    ),
]


class Domain(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A name under which a group is called; `*.` stands for exactly one label, and gives way to a name that is exact.

    `redirect` sends GET and HEAD over http to https, where the route takes https. `client_authorities` (a PEM text) are
    those whose certificates callers must show: such a domain is called over https only, by connections that were made
    for its name. `certificate` is what all three need.
    """

    name: DomainName
    certificate: Name | None = None
    minimum_tls: Literal["1.2", "1.3"] = "1.2"
    redirect: bool = False
    client_authorities: str | None = None


class ApiGroup(
    AppResource,
    tag_field="kind",
    tag="api_group",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """Routes under the same domains and with the same variables.

    One with domains is called by those names only; those without share every other name and address. `variables` are
    by environment: `#name#` in a backend stands for the value. The group that has its app's name is the app's default
    one, and is there also where it is not written.
    """

    domains: tuple[Domain, ...] = ()
    variables: dict[Name, dict[VariableName, VariableValue]] = {}


class Environment(
    Resource,
    tag_field="kind",
    tag="environment",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """Where routes are published; callers pick one by `X-Stage`. RELEASE is there without being written."""
