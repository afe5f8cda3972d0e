"""What finds out who calls a route, and whether they may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from actors.gateway_route.call import Call

Identify = Callable[[Call], Awaitable[None] | None]
"""Sets `call.caller`, or raises CallRefusedError with 401 or 403.

Most verdicts are there at once. What must wait, for a body that is signed or for keys that are fetched, is returned
and is to be awaited: so nobody pays for a coroutine that waits for nothing.
"""

Named = str | Awaitable[str] | None
Read = Callable[[Call], Named]
"""One way in which a caller may show who it is: its name; None where nothing of the sort is shown.

Raises CallRefusedError with 401 where what is shown is wrong.
"""
