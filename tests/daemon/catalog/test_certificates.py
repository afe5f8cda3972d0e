"""Certificates as they are read before they are served."""

from __future__ import annotations

import pytest

from daemon.catalog.certificates import CertificateError, read_chain, read_pair
from tests.fakes.certificates import Authority


def test_a_certificate_that_cannot_be_read_is_refused_with_its_reason() -> None:
    """Whoever reads it anew is told, and goes on: nothing else is raised."""
    pair = Authority().issue_unreadable()
    with pytest.raises(CertificateError, match="its subject or issuer is malformed"):
        read_pair(pair.chain, pair.key)
    with pytest.raises(CertificateError, match="its subject or issuer is malformed"):
        read_chain(pair.chain)
