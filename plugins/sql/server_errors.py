"""What the errors of database servers have in common: their SQLSTATE, one line of text, and hints about the network."""

from __future__ import annotations


def sqlstate(error: BaseException) -> str:
    """The five characters, or nothing where the server did not speak."""
    return str(getattr(error, "sqlstate", None) or "")


def one_line(error: BaseException, text: str | None = None) -> str:
    """The error's text (where it is not its own, `text`) without line ends; the kind of the error where it has none."""
    return " ".join((str(error) if text is None else text).split()) or type(error).__name__


def network_hint(error: BaseException) -> str | None:
    """What to do about a server that cannot be reached."""
    match error:
        case ConnectionRefusedError() | FileNotFoundError():
            return "nobody listens there: check host and port, and that the server runs"
        case TimeoutError():
            return "no answer in time: check host, port and firewalls"
        case OSError():
            return "check host, port and the network"
        case _:
            return None
