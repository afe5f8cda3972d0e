"""A way to a database that breaks at the worst moment: when COMMIT passes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class CuttingProxy:
    """Forwards TCP to a Unix socket. Armed with `before` or `after`, it cuts the connection on which COMMIT comes.

    `before`: the server never sees the COMMIT; `after`: it has done it, and its answer is kept back.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.port = 0
        self.armed: str | None = None

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        await trio.serve_listeners(self._forward, [listener], task_status=task_status)

    async def _forward(self, client: trio.SocketStream) -> None:
        async with client, await trio.open_unix_socket(self._target) as server, trio.open_nursery() as nursery:
            silent = trio.Event()

            async def down() -> None:
                async for data in server:
                    if not silent.is_set():
                        await client.send_all(data)
                nursery.cancel_scope.cancel()

            nursery.start_soon(down)
            try:
                async for data in client:
                    if self.armed and b"COMMIT" in data:
                        silent.set()
                        await self._last_words(data, server)
                        break
                    await server.send_all(data)
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()

    async def _last_words(self, data: bytes, server: trio.SocketStream) -> None:
        moment, self.armed = self.armed, None
        if moment == "after":
            await server.send_all(data)
            await trio.sleep(0.1)


@asynccontextmanager
async def cutting_proxy(target: str) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(target)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        yield proxy
        nursery.cancel_scope.cancel()
