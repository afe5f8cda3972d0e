"""What functions may reach, as it is applied now: rights, the way into topics, and places of statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.errors import PenstockError
from actors.functions.reach import Place
from actors.records import Record
from actors.topic_gateway.producing import NotStored, Producing, Stored
from actors.topic_gateway.windows import ProducerWindows
from actors.topic_partition.topic import Topics
from config.resources import Connection, Topic
from config.resources.identity import Identity
from daemon.catalog.catalog import Catalog
from plugins.sql.positional import named

# Functions number no records, so nothing is looked up.
_NO_WINDOW = 1
_BACKSLASHES = frozenset({"mysql"})


class FunctionRights:
    """Asks the catalog (see `actors.functions.reach.Rights`)."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def connection_problem(self, app: str, connection: str) -> str:
        """Own connections, and those that are shared with the app."""
        stored = self._catalog.get(Identity("connection", connection))
        if stored is None or not isinstance(stored.resource, Connection):
            return f"there is no connection {connection}"
        owner = stored.resource.app
        if app == owner or app in stored.resource.shared_with:
            return ""
        return (
            f"connection {connection} belongs to app {owner}, which does not share it with app {app} "
            f"(`shared_with: [{app}]` there would)"
        )

    def publish_problem(self, app: str, topic: str) -> str:
        """Own topics, those that are shared with the app, and those that grant it to publish."""
        stored = self._catalog.get(Identity("topic", topic))
        if stored is None or not isinstance(stored.resource, Topic):
            return f"there is no topic {topic}"
        found = stored.resource
        if not found.offers("publish"):
            return f"topic {topic} has `access: {found.access}`, so nothing can be published to it"
        if found.allows(app, "publish"):
            return ""
        return (
            f"topic {topic} belongs to app {found.app}, which does not share it with app {app} "
            f"(`shared_with: [{app}]` there would, or `grants: [{{app: {app}, access: publish}}]`)"
        )

    def positional(self, connection: str, sql: str, values: Sequence[object]) -> tuple[str, Mapping[str, object]]:
        """Names for places, as the connection's database reads quotes (see `actors.functions.reach.Positional`)."""
        stored = self._catalog.get(Identity("connection", connection))
        connector = stored.resource.connector if stored and isinstance(stored.resource, Connection) else ""
        return named(sql, values, backslashes=connector in _BACKSLASHES)


class FunctionRecords:
    """Stores the records of functions as those of producers: gates, diverts and limits are the same."""

    def __init__(self, topics: Topics, wait_seconds: float) -> None:
        self._producing = Producing(topics, ProducerWindows(_NO_WINDOW), wait_seconds)

    async def store(self, topic: str, record: Record) -> Place:
        """Store one record; a throttled topic, or one whose storage is slow, is waited for.

        Raises:
            PenstockError: it was not stored; says why.
        """
        (outcome,) = await self._producing.store(topic, [record], whole=True)
        match outcome:
            case Stored() as stored:
                return stored
            case NotStored(reason=reason):
                raise PenstockError(f"topic {topic}: {reason}")
