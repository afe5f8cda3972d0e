"""The one family of exceptions that actors raise to one another and to their hosts."""


class PenstockError(Exception):
    """Base of every error that this program raises on purpose; its text is fit for a person to read."""


class ActorGone(PenstockError):  # noqa: N818 - a state of the world, named as OTP users would
    """The actor that should have taken or answered a message has ended."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has ended and takes no more messages")
        self.name = name


class ConfigurationError(PenstockError):
    """What a person wrote cannot be used: says what, where and what to do."""


class StorageError(PenstockError):
    """The disk refused or lost something: names the file."""


class DamagedLogError(StorageError):
    """A batch in the middle of a log is not what was written: names the file and the offsets.

    Attributes:
        resume: the first offset after the damage that can be read again.
    """

    def __init__(self, message: str, *, resume: int) -> None:
        super().__init__(message)
        self.resume = resume


class AppendRefusedError(StorageError):
    """A partition takes no appends now (disk full, failed write); nothing of the batch was kept."""


class CircuitOpenError(AppendRefusedError):
    """A topic's backlog policy refuses records until what waits has been worked off.

    Attributes:
        reason: why, without the topic's name.
        retry_after: when it is worth while to try again, in seconds from now.
    """

    def __init__(self, message: str, *, retry_after: float, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class HomecomingError(PenstockError):
    """Diverted records are not brought home: their topic still diverts them, or nobody knows where they are."""


class OffsetOutOfRangeError(PenstockError):
    """A reader asked for an offset that retention has deleted or that is not written yet.

    Attributes:
        start: the first offset that can be read.
    """

    def __init__(self, message: str, *, start: int) -> None:
        super().__init__(message)
        self.start = start


class RecordTooLargeError(PenstockError):
    """A record is larger than its topic takes."""


class MemberFencedError(PenstockError):
    """The group has thrown this member out, or given its partitions away: nothing of what it said was taken."""


class GroupBusyError(PenstockError):
    """A group has members, and what was asked is refused while it has."""


class GroupConflictError(PenstockError):
    """A group of that name is of another kind, or reads another topic: one group has one kind and one topic."""


class ConnectorError(PenstockError):
    """Another system did not do what it was asked: what, where, why, and what to do. Holding and retrying is right."""


class NothingDoneError(ConnectorError):
    """It failed before anything was asked of the other system: trying again repeats nothing."""


class ConnectionBusyError(NothingDoneError):
    """So many wait for the other system already that nobody more may."""


class RowRejectedError(ConnectorError):
    """The rows themselves cannot be stored (SQLSTATE classes 22 and 23); retrying the same rows is pointless."""


class FencedError(ConnectorError):
    """Somebody else has claimed this task's partition in the sink since; the writer must stop."""


class CommitUnknownError(ConnectorError):
    """The answer to COMMIT was lost: the position in the sink tells whether it happened."""


class StatementError(ConnectorError):
    """An SQL statement that the database refuses as written, or that is more than one statement."""


class ParameterError(ConnectorError):
    """A parameter is missing or cannot be converted to the type the statement asks for: names parameter and type."""


class ResultTooLargeError(ConnectorError):
    """A query brought more rows or bytes than its caller takes."""
