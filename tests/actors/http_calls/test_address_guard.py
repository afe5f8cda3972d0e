"""Which addresses outgoing calls may reach."""

from __future__ import annotations

import pytest

from actors.http_calls.address_guard import AddressDeniedError, AddressGuard


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0",
        "ff02::1", "fd00:ec2::254", "fd20:ce::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "::ffff:0:127.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001:0:7f00:1::", "localhost", "",
    ],
)  # fmt: skip
def test_this_machine_and_metadata_services_are_out_of_reach(address: str) -> None:
    """Loopback, link-local and their like, also where they hide in an IPv6 address; a name is no address at all."""
    with pytest.raises(AddressDeniedError, match=r"is not to be called from here|is no address"):
        AddressGuard().check(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "10.0.0.1", "192.168.1.1", "172.16.0.1", "2606:2800:220:1::1", "fd12::1", "2002:a00:1::"],
)
def test_others_are_open(address: str) -> None:
    """The internet, and networks of an organisation's own."""
    AddressGuard().check(address)


def test_the_operator_opens_what_is_needed() -> None:
    """Exactly the networks that are named, also for their addresses in disguise."""
    guard = AddressGuard(["127.0.0.1/32", "fe80::/10"])
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fe80::1"):
        guard.check(address)
    for address in ("127.0.0.2", "::1", "169.254.169.254"):
        with pytest.raises(AddressDeniedError):
            guard.check(address)
