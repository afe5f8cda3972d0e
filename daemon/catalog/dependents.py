"""What would be left hanging if a resource went."""

from __future__ import annotations

from config.references import referrers
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from daemon.catalog.planning import dead_letter_topic
from daemon.publishing.planning import mentions
from daemon.publishing.publications import Publications


def dependents(target: Identity, catalog: Catalog, publications: Publications) -> list[Identity]:
    """The resources that refer to one, as they are written or as they are served."""
    users = referrers(target, catalog.resources())
    users += sorted(
        {
            Identity("route", published.route.name)
            for published in publications
            if target.kind != "route" and mentions(published, target)
        }.difference(users)
    )
    if target.kind == "topic":
        users += [
            stored.identity
            for stored in catalog.of_kind("task")
            if dead_letter_topic(stored.identity.name) == target.name
        ]
    return users
