"""Routes of a store that knew no publications: what is applied and says so is published once, at the start."""

from __future__ import annotations

import time

import structlog

from config.resources import RELEASE, Route
from daemon.catalog.catalog import Catalog
from daemon.publishing.planning import PublicationPlanner
from daemon.publishing.publications import Publications
from daemon.publishing.resolve import UnpublishableError
from daemon.store.model import Store
from daemon.store.publications import Publication, Served, Version

log = structlog.get_logger()

_REMARK = "as it was served before there were versions"


async def published(store: Store, catalog: Catalog) -> Publications:
    """What is published; routes that have no version yet and are to be served get their first one.

    Raises:
        StorageError: the store cannot be read or written.
    """
    publications = Publications(await store.load_publications())
    # What cannot be compiled is shown as failed once it is served, as everything that was served before.
    planner = PublicationPlanner(catalog, publications, lambda _: None)
    now = time.time_ns() // 1_000_000
    versions: list[Version] = []
    served: list[Served] = []
    for stored in catalog.of_kind("route"):
        route = stored.resource
        if not isinstance(route, Route) or not route.publish or publications.last(route.name):
            continue
        try:
            first = planner.publish(route, RELEASE, now, _REMARK)
        except UnpublishableError as error:
            log.warning("route is not published", route=route.name, reason=str(error))
            continue
        versions += first.versions
        served += first.served
    if versions:
        publication = Publication(tuple(versions), tuple(served))
        await store.apply([], [], publication)
        publications.put(publication)
    return publications
