def journaled_batches(file: int, half_bytes: int, epoch: int, sequence: int) -> list[bytes]:
    """The batches that follow `sequence` of `epoch` in the journal open as `file`. Raises OSError."""
