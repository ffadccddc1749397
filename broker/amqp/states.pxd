"""The states of a connection (AMQP 0-9-1 §2.2.4), for its hot and its cold half."""

cpdef enum:
    AWAIT_HEADER = 0
    AWAIT_START_OK = 1
    AWAIT_SECURE_OK = 2
    AWAIT_TUNE_OK = 3
    AWAIT_OPEN = 4
    RUNNING = 5
    CLOSING = 6                     # connection.close sent: only close and close-ok are looked at
    CLOSED = 7
