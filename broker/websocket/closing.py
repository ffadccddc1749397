"""Close codes and the payload of Close frames (RFC 6455 §5.5.1, §7.4)."""

from __future__ import annotations

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
UNSUPPORTED = 1003
NO_STATUS = 1005
INVALID_PAYLOAD = 1007
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

TEXT_BYTES_MAX = 123
SENT = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
"""The registered codes that may stand in a frame; 3000 to 4999 are libraries' and applications' own."""


def close_payload(code: int, text: str) -> bytes:
    """What a Close frame holds; nothing where there is no code to give."""
    if code == NO_STATUS:
        return b""
    # Cut between characters: the text is UTF-8 (§5.5.1).
    return code.to_bytes(2, "big") + text.encode()[:TEXT_BYTES_MAX].decode(errors="ignore").encode()


def read_close(payload: bytes) -> tuple[int, str]:
    """The code to answer a peer's Close with: its own, or what is wrong with it."""
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        return PROTOCOL_ERROR, "a Close frame has no payload, or a code"
    code = int.from_bytes(payload[:2], "big")
    if code not in SENT and not 3000 <= code <= 4999:
        return PROTOCOL_ERROR, f"{code} is no code for a Close frame"
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return INVALID_PAYLOAD, "the reason is not UTF-8"
    return code, ""
