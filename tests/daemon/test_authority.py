import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actors.errors import ConfigurationError
from daemon.authority import AUTHORITY_VALID, SERVER_VALID, CertificateAuthority

NAMES = ("localhost", "127.0.0.1", "::1", "müller.example")


class Calendar:
    """A day that a test chooses."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def parsed(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_an_authority_makes_itself_once(tmp_path: Path) -> None:
    """Its key is nobody else's to read, its certificate stays what clients were given."""
    pem = CertificateAuthority(tmp_path).certificate()
    assert CertificateAuthority(tmp_path).certificate() == pem
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ca").iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "lock": 0o600}
    certificate = x509.load_pem_x509_certificate(pem)
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)  # type: ignore[union-attr]  # it is
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)


def test_a_server_certificate_is_for_the_names_asked_for(tmp_path: Path) -> None:
    """Host names and addresses each in their own form, good for servers only, and served by OpenSSL as it lies."""
    path = CertificateAuthority(tmp_path).server_file("mqtt.tls", NAMES)
    certificate = parsed(path)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "xn--mller-kva.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)


def test_a_certificate_is_kept_until_it_is_time_or_its_names_change(tmp_path: Path) -> None:
    """What is served changes no more often than it must: a third of its time before its end, and with its names."""
    today = Calendar()
    authority = CertificateAuthority(tmp_path, today)
    first = authority.server_file("mqtt.tls", NAMES).read_bytes()
    today.now += SERVER_VALID * 0.6
    assert authority.server_file("mqtt.tls", NAMES).read_bytes() == first
    today.now += SERVER_VALID * 0.1
    second = authority.server_file("mqtt.tls", NAMES).read_bytes()
    assert second != first
    path = authority.server_file("mqtt.tls", (*NAMES, "10.0.0.1"))
    assert path.read_bytes() != second
    assert parsed(path).not_valid_after_utc == today.now + SERVER_VALID


def test_a_broken_server_certificate_is_made_again(tmp_path: Path) -> None:
    """Whatever a crash or a hand left there; a listener's file is never the authority's concern of another."""
    authority = CertificateAuthority(tmp_path)
    path = authority.server_file("mqtt.tls", NAMES)
    other = authority.server_file("gateway.tls", NAMES).read_bytes()
    path.write_bytes(path.read_bytes()[:100])
    assert parsed(authority.server_file("mqtt.tls", NAMES)).issuer == parsed(authority.path).subject
    assert authority.server_file("gateway.tls", NAMES).read_bytes() == other


def test_an_authority_renews_itself_with_its_key_and_name(tmp_path: Path) -> None:
    """What it has signed stays good, for those who have the old certificate and for those who have the new one."""
    today = Calendar()
    authority = CertificateAuthority(tmp_path, today)
    old = x509.load_pem_x509_certificate(authority.certificate())
    device = authority.issue_client("sensor", "lot-1")
    today.now += AUTHORITY_VALID - SERVER_VALID + timedelta(days=1)
    new = x509.load_pem_x509_certificate(authority.certificate())
    assert new.not_valid_after_utc == today.now + AUTHORITY_VALID
    assert (new.subject, new.public_key()) == (old.subject, old.public_key())
    for certificate in (x509.load_pem_x509_certificate(device.certificate), parsed(authority.server_file("x", NAMES))):
        certificate.verify_directly_issued_by(old)
        certificate.verify_directly_issued_by(new)


def test_a_client_certificate_names_its_device(tmp_path: Path) -> None:
    """In the common name where it fits, and always in a URI; good for clients only."""
    authority = CertificateAuthority(tmp_path)
    for device, common_name in (("10:20", "sensor/10:20"), ("x" * 64, "device")):
        certificate = x509.load_pem_x509_certificate(authority.issue_client("sensor", device).certificate)
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert name.value == common_name
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier)[0].startswith("penstock:/sensor/")
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_an_authority_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """A lost key, a foreign certificate and rubbish are each told with the file, and never replaced silently."""
    authority = CertificateAuthority(tmp_path)
    authority.certificate()
    key = (tmp_path / "ca" / "ca.key").read_bytes()
    (tmp_path / "ca" / "ca.key").unlink()
    with pytest.raises(ConfigurationError, match=r"its key .*ca\.key is not: put the key back"):
        authority.certificate()
    CertificateAuthority(tmp_path / "other").certificate()
    (tmp_path / "ca" / "ca.key").write_bytes((tmp_path / "other" / "ca" / "ca.key").read_bytes())
    with pytest.raises(ConfigurationError, match="do not belong together"):
        authority.server_file("mqtt.tls", NAMES)
    (tmp_path / "ca" / "ca.key").write_bytes(b"rubbish")
    with pytest.raises(ConfigurationError, match=r"ca\.pem and ca\.key are not"):
        authority.issue_client("a", "b")
    (tmp_path / "ca" / "ca.key").write_bytes(key)
    assert authority.certificate()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """As a setting error, with the folder."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"certificate authority in .*cannot be used"):
        CertificateAuthority(tmp_path / "file").certificate()
