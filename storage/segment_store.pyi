from storage.batch_store import BatchStore

class SegmentStore(BatchStore):
    """Loading, restoring and key-value reads."""
