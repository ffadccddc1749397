"""Method arguments by their signatures: see codec.pxd for the layout and `methods` for the table."""

from libc.stdint cimport uint8_t, uint32_t

from broker.amqp.methods import BY_NAME
from broker.core.errors import TableError
from broker.core.properties import decode_table, encode_table


class SyntaxFault(Exception):
    """The arguments are not what the method's signature says (501 FRAME_ERROR, as RabbitMQ has it)."""


cdef list decode_arguments(const char* arguments, size_t size, bytes signature):
    """The arguments in order: int, bool, str (shortstr), bytes (longstr), dict (table). Raises SyntaxFault.

    In place of `F`, `T` leaves a table in bytes, its length in front, unread: for `decode_table`.
    """
    cdef list values = []
    cdef size_t at = 0, length
    cdef int bits = 0, bit = 0
    cdef char kind
    for kind in signature:
        if kind == b"b":
            if bits == 0:
                if at + 1 > size:
                    raise SyntaxFault("arguments end early")
                bit = <uint8_t>arguments[at]
                at += 1
            values.append((bit >> bits) & 1 == 1)
            bits = (bits + 1) & 7
            continue
        bits = 0
        length = 1 if kind == b"o" or kind == b"S" else 2 if kind == b"s" else 8 if kind == b"L" else 4
        if at + length > size:
            raise SyntaxFault("arguments end early")
        if kind == b"o":
            values.append(<uint8_t>arguments[at])
        elif kind == b"s":
            values.append(load16(arguments + at))
        elif kind == b"l":
            values.append(load32(arguments + at))
        elif kind == b"L":
            values.append(load64(arguments + at))
        else:
            at += length
            length = <uint8_t>arguments[at - 1] if kind == b"S" else load32(arguments + at - 4)
            if length > size - at:
                raise SyntaxFault("a string or table runs beyond the end of its frame")
            if kind == b"S":
                values.append(decode_text(arguments + at, length))
            elif kind == b"B":
                values.append(arguments[at:at + length])
            elif kind == b"T":
                values.append(arguments[at - 4:at + length])
            else:
                try:
                    values.append(decode_table(arguments[at - 4:at + length]))
                except TableError as error:
                    raise SyntaxFault(str(error)) from None
        at += length
    if at != size:
        raise SyntaxFault(f"{size - at} bytes behind the last argument")
    return values


cdef str decode_text(const char* text, size_t size):
    try:
        return text[:size].decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxFault("a short string is not UTF-8") from None


def arguments_of(bytes payload, bytes signature) -> list:
    """Decodes the arguments behind class and method of a method frame's payload. Raises SyntaxFault."""
    return decode_arguments(<const char*>payload + 4, len(payload) - 4, signature)


def method_frame(int channel, str name, *arguments) -> bytes:
    """A whole method frame. Texts that are too long for a shortstr are cut."""
    method = BY_NAME[name]
    cdef bytearray payload = bytearray((<uint32_t>method.number).to_bytes(4, "big"))
    cdef int bits = 0
    cdef bytes text
    for kind, value in zip(method.signature, arguments, strict=True):
        if kind == 98:                                                  # b: up to eight bits share an octet
            if bits == 0:
                payload.append(0)
            payload[len(payload) - 1] |= (1 if value else 0) << bits
            bits = (bits + 1) & 7
            continue
        bits = 0
        if kind == 83:                                                  # S
            text = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
            if len(text) > 255:
                text = text[:255].decode("utf-8", "ignore").encode()
            payload.append(len(text))
            payload += text
        elif kind == 66:                                                # B
            payload += len(value).to_bytes(4, "big") + value
        elif kind == 70:                                                # F
            payload += encode_table(value)
        else:
            payload += value.to_bytes({111: 1, 115: 2, 108: 4, 76: 8}[kind], "big")
    return frame(FRAME_METHOD, channel, bytes(payload))


def frame(int type, int channel, bytes payload) -> bytes:
    """A whole frame of any type."""
    cdef bytes start = bytes((type,)) + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big")
    return start + payload + b"\xce"
