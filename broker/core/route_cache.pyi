"""Typed signatures of the Python half of `route_cache.pyx`."""

from broker.core.target import Target

class Route:
    """Where messages of one routing key go: each target once."""

    def __init__(self, targets: list[Target], is_cacheable: bool = True) -> None: ...
    @property
    def targets(self) -> list[Target]: ...

class RouteCache:
    """Routing keys whose targets are known; `entries_max` of them at most."""

    def __init__(self, entries_max: int) -> None: ...

def matches(binding_key: bytes, routing_key: bytes) -> bool: ...
