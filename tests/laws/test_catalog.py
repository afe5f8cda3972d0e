"""Laws of secrets: what is stored never shows them, and the same secret is never a change."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from config.resources import App, Connection, Device
from config.resources.base import SecretReference
from config.resources.identity import identity
from daemon.catalog.issue import Issuer
from daemon.catalog.secret_fields import MASK, masked, secret_fields, without_secrets
from daemon.vault import Vault
from plugins.api import ConnectorType

VAULT = Vault(bytes(32))
PLAIN = st.text(min_size=1, max_size=40).filter(lambda text: text != MASK)
REFERENCE = st.builds(SecretReference, env=st.just("NAME"), default=PLAIN)
SECRET = st.one_of(st.none(), PLAIN, REFERENCE)
CONNECTORS = {"x": ConnectorType("x", msgspec.Struct, lambda *_: None, ("password", "token"))}  # type: ignore[arg-type, return-value]


def setting(secret: object) -> object:
    return msgspec.to_builtins(secret)


APPS = st.builds(
    App,
    name=st.just("a"),
    key=st.just("k"),
    secret=SECRET,
    app_codes=st.one_of(st.none(), st.lists(SECRET, max_size=5).map(tuple)),
)
DEVICES = st.builds(Device, app=st.just("a"), product=st.just("p"), name=st.just("d"), secret=SECRET)
CONNECTIONS = st.builds(
    Connection,
    app=st.just("a"),
    name=st.just("c"),
    connector=st.just("x"),
    settings=st.fixed_dictionaries({"host": st.just("h")}, optional={"password": SECRET.map(setting)}),
)
RESOURCES = st.one_of(APPS, DEVICES, CONNECTIONS)


def resolve(reference: SecretReference) -> str:
    return reference.default or ""


@given(RESOURCES)
def test_what_is_stored_is_free_of_secrets(resource: App | Device | Connection) -> None:
    """Cut out of a resource, its secrets are nowhere in what is stored, and show as stars where it is shown."""
    bare = without_secrets(resource, CONNECTORS)
    assert [one for one in secret_fields(bare, CONNECTORS, {"kept"}) if one.given is not None] == []
    issued = Issuer(VAULT, resolve).issue(identity(resource), secret_fields(resource, CONNECTORS), {})
    shown = masked(bare, issued.secrets)
    reread = msgspec.convert(shown, type(resource))
    given_again = secret_fields(reread, CONNECTORS, issued.secrets)
    assert {one.field for one in given_again if one.given == MASK} == set(issued.secrets)


@given(RESOURCES)
def test_the_same_secrets_are_never_a_change(resource: App | Device | Connection) -> None:
    """Issued once, the same manifest keeps every stored secret as it is, byte for byte, and generates nothing."""
    issuer = Issuer(VAULT, resolve)
    name = identity(resource)
    first = issuer.issue(name, secret_fields(resource, CONNECTORS), {})
    again = issuer.issue(name, secret_fields(resource, CONNECTORS, first.secrets), first.secrets)
    assert (again.secrets, again.changed, again.generated) == (first.secrets, [], {})


@given(PLAIN, PLAIN)
def test_another_secret_is_always_a_change(one: str, other: str) -> None:
    """A device's secret that differs in anything is noticed, though only digests are compared."""
    issuer = Issuer(VAULT, resolve)
    devices = [Device(app="a", product="p", name="d", secret=secret) for secret in (one, other)]
    first = issuer.issue(identity(devices[0]), secret_fields(devices[0], CONNECTORS), {})
    second = issuer.issue(identity(devices[1]), secret_fields(devices[1], CONNECTORS, first.secrets), first.secrets)
    assert (second.changed == []) == (one == other)
