"""One instance for all attacks: they must not spoil it for one another either."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.owasp.site import MANIFEST, Site


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ChildDaemon(tmp_path_factory.mktemp("owasp") / "data") as daemon:
        one = Site(daemon)
        daemon.apply(MANIFEST)
        yield one
        assert one.call("/open").text == "open"
        assert daemon.stop() == 0
