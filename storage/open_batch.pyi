from storage.interface import Store

class OpenBatch(Store):
    """A store's open batch: everything that happens per message."""
