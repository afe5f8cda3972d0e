"""Stores from before there were versions."""

from __future__ import annotations

from pathlib import Path

from config.manifest import load
from daemon.catalog.catalog import Catalog
from daemon.publishing.catch_up import published
from daemon.store.model import Meta, StoredResource
from daemon.store.sqlite import SqliteStore

ROUTES = """
{kind: route, app: a, name: shown, request: {path: /1}, backend: {mock: {}}}
---
{kind: route, app: a, name: draft, request: {path: /2}, backend: {mock: {}}, publish: false}
---
{kind: route, app: a, name: broken, request: {path: "/#none#"}, backend: {mock: {}}}
"""


async def test_what_was_served_is_served_on(tmp_path: Path) -> None:
    """Routes get their first version once, at the first start; drafts, and what cannot be published, get none."""
    store = await SqliteStore.open(tmp_path)
    try:
        await store.apply([StoredResource(one.resource, Meta(1, 1, 1)) for one in load(ROUTES)])
        first = await published(store, Catalog(await store.load_all()))
        assert [(one.route.name, one.version) for one in first] == [("shown", 1)]
        again = await published(store, Catalog(await store.load_all()))
        assert (list(again), again.last("shown")) == (list(first), 1)
    finally:
        await store.close()
