"""Typed public signatures of `buffers.pyx`."""

class BufferPool:
    kept_bytes: int
    kept_bytes_max: int
    taken_bytes: int
    def __init__(self, kept_bytes_max: int = ...) -> None: ...
