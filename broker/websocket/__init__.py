"""RFC 6455: the frames that carry any dialect to a browser."""
