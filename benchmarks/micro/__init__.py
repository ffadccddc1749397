"""The hot paths without sockets: how long a message takes, and how many instructions it needs."""
