"""What the operating system lets this process have, and what the process spends on itself."""

import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Python looks for cycles whenever 700 more objects live than did; when thousands of devices connect at once, each of
# which is a hundred objects that stay, that is half of what they cost. Nothing here relies on cycles being found soon.
_OBJECTS: Final = 10_000
_GENERATIONS: Final = 20


def raise_file_limit() -> None:
    """Take as many file descriptors as may be had: each connection and each segment needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def collect_garbage_rarely() -> None:
    """Let the garbage collector look at what is new less often."""
    gc.set_threshold(_OBJECTS, _GENERATIONS, _GENERATIONS)


@contextmanager
def imports_for_good() -> Iterator[None]:
    """Import without looking for garbage, and never look through what was imported.

    Modules stay as long as the process; to look through them again and again while they come, and at each full
    collection afterwards, would find nothing.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
