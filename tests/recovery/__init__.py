"""What survives: kill -9, a full disk, a failed fsync, a truncated file."""
