"""What a client sees: real clients over sockets against a real server process."""
