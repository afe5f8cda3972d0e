"""Sends a command to a Redis server and answers what it says: data is the command, such as ["GET", "greeting"]."""

import os

import trio

from plugins.api import FunctionContext, function

HOST, PORT = os.environ.get("REDIS_HOST", "127.0.0.1"), int(os.environ.get("REDIS_PORT", "6379"))


@function
async def command(data: list[str], context: FunctionContext) -> object:
    """One connection a call; its time-out is the function's."""
    context.log("asks", command=data[0])
    words = [str(word).encode() for word in data]
    async with await trio.open_tcp_stream(HOST, PORT) as stream:
        await stream.send_all(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in words))
        return await Replies(stream).read()


class Replies:
    """Reads what a server says (RESP 2)."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = b""

    async def read(self) -> object:
        """One reply; an error of the server's is raised."""
        line = await self._until_line_end()
        kind, rest = line[:1], line[1:]
        match kind:
            case b"+":
                return rest.decode()
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else (await self._take(int(rest) + 2))[:-2].decode("utf-8", "replace")
            case b"*":
                return None if rest == b"-1" else [await self.read() for _ in range(int(rest))]
            case _:
                raise RuntimeError(line.decode("utf-8", "replace"))

    async def _until_line_end(self) -> bytes:
        while b"\r\n" not in self._data:
            await self._more()
        line, _, self._data = self._data.partition(b"\r\n")
        return line

    async def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            await self._more()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    async def _more(self) -> None:
        received = await self._stream.receive_some()
        if not received:
            raise RuntimeError("the server closed the connection")
        self._data += received
