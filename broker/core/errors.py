"""What the core says when it refuses: typed errors with a text for people, and no protocol's numbers.

Each dialect's `translate.py` maps the classes to its own codes. Raising one changes nothing: the core checks first and
acts afterwards, so whoever catches a CoreError may carry on.
"""

# The names are the specifications' words, and read as such where they are raised:
# ruff: noqa: N818


class CoreError(Exception):
    """A request that the core refuses. `text` is one sentence for the peer and the log."""

    def __init__(self, text: str) -> None:
        """Keep `text`, which is shown to the peer as it stands."""
        super().__init__(text)
        self.text = text


class NotFound(CoreError):
    """The named queue, exchange or binding does not exist."""


class AccessRefused(CoreError):
    """The user may not do this, or is not who it says it is."""


class TooManyLogins(AccessRefused):
    """Too many logins wait: this one was not looked at, and may come again."""


class PreconditionFailed(CoreError):
    """What exists differs from what was asked for, or an argument is not acceptable."""


class ResourceLocked(CoreError):
    """Another connection or consumer has exclusive use of it."""


class NotImplementedHere(CoreError):
    """Known, and not offered by this broker."""


class InvalidPath(CoreError):
    """The vhost does not exist."""


class LimitExceeded(CoreError):
    """A named limit of the operator is reached."""


class TableError(CoreError):
    """A field table or a property list that is malformed, or a value that no field type can carry."""


class BindingInvalid(PreconditionFailed):
    """The exchange's type does not accept this binding's key or arguments."""


class NotAccepted(CoreError):
    """The store has failed: what was asked for will never be on disk."""
