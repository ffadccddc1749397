"""Messages that the broker publishes in a client's name."""
