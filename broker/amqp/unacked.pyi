"""Typed signatures of the Python half of `unacked.pyx`. What happens per delivery is in `unacked.pxd`."""

class Unacked:
    """What a channel has delivered and not yet settled."""

    def __len__(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def delivered(self) -> int: ...
