"""The way of routes into topics: by what producers over HTTP use, so that gates, diverts and limits are the same."""

from __future__ import annotations

from actors.gateway_route.backends.topic import StoredAt
from actors.http_calls.errors import INTERNAL, NO_BACKEND, CallRefusedError
from actors.records import Record
from actors.topic_gateway.errors import NOT_TAKEN, UNKNOWN
from actors.topic_gateway.producing import NotStored, Outcome, Producing, Stored
from actors.topic_gateway.windows import ProducerWindows
from actors.topic_partition.topic import Topics
from config.settings import TopicGatewaySettings

# Routes number no records, so nothing is looked up.
_NO_WINDOW = 1


class RouteRecords:
    """Stores the records of routes with a `topic` backend (see `actors.gateway_route.backends.topic.Records`)."""

    def __init__(self, topics: Topics, settings: TopicGatewaySettings) -> None:
        self._producing = Producing(topics, ProducerWindows(_NO_WINDOW), settings.publish_wait)

    async def store(self, topic: str, record: Record) -> StoredAt:
        """Store one record; a throttled topic, or one whose storage is slow, is waited for up to `publish_wait`."""
        for outcome in await self._stored(topic, record):
            match outcome:
                case Stored(partition=partition, offset=offset):
                    return StoredAt(partition, offset)
                case NotStored(reason=reason):
                    raise _of_route(reason)
        raise CallRefusedError(INTERNAL)

    async def _stored(self, topic: str, record: Record) -> list[Outcome]:
        try:
            return await self._producing.store(topic, [record], whole=True)
        except CallRefusedError as refused:
            raise _of_route(refused) from refused


def _of_route(refused: CallRefusedError) -> CallRefusedError:
    """What a producer is told, as a route's caller hears it: which topic and groups there are is not their affair."""
    if refused.error is UNKNOWN:
        # To a producer that is its own mistake, to a route's caller it is the route's.
        return CallRefusedError(NO_BACKEND)
    return CallRefusedError(refused.error, headers=refused.headers) if refused.error is NOT_TAKEN else refused
