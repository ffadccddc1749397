"""Small damage to conversations: what a broken or hostile peer would say instead.

Frames are known, so that most mutants get past the framing and reach what lies behind it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.fuzz.script import KINDS, Step

INTERESTING = [
    *(b"\0", b"\xff", b"\xce", b"F", b"A", b"S", b"\0\x0a\0\x32"),
    *(b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff"),
    *(b"\xff" * 8, b"\x7f" + b"\xff" * 7),
]


def mutate_bytes(chance: random.Random, content: bytes) -> bytes:
    """One small change: a byte, a splice, a cut, a repetition."""
    changed = bytearray(content)
    at = chance.randrange(len(changed)) if changed else 0
    kind = chance.randrange(7)
    if kind == 0 and changed:
        changed[at] = chance.randrange(256)
    elif kind == 1 and changed:
        changed[at] ^= 1 << chance.randrange(8)
    elif kind == 2:
        piece = chance.choice(INTERESTING)
        changed[at : at + len(piece)] = piece
    elif kind == 3:
        changed[at:at] = chance.choice(INTERESTING)
    elif kind == 4:
        del changed[at : at + chance.choice([1, 1, 2, 4, 8, 100])]
    elif kind == 5 and changed:
        end = min(len(changed), at + chance.choice([1, 4, 16, 64]))
        changed[at:at] = changed[at:end]
    else:
        del changed[at:]
    return bytes(changed)


def mutate_frame(chance: random.Random, content: bytes) -> bytes:
    """One change inside the payload of the first frame, whose size then is put right; or of its head."""
    if len(content) < 8 or chance.random() < 0.2:
        return mutate_bytes(chance, content)
    size = int.from_bytes(content[3:7], "big")
    head, payload, rest = content[:3], content[7 : 7 + size], content[7 + size :]
    if chance.random() < 0.15:
        channel = chance.choice([0, 1, 2, 3, 7, 2047, 2048, 65535])
        head = bytes([chance.choice([1, 2, 3, 8, 4])]) + channel.to_bytes(2, "big")
    else:
        payload = mutate_bytes(chance, payload)
    return head + len(payload).to_bytes(4, "big") + payload + rest


def mutate(
    chance: random.Random,
    steps: list[Step],
    others: list[Step],
    mutate_unit: Callable[[random.Random, bytes], bytes] = mutate_frame,
) -> list[Step]:
    """A few changes to a conversation; `others` is what can be spliced in. `mutate_unit`: knows a dialect's units."""
    changed = list(steps)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 6])):
        at = chance.randrange(len(changed)) if changed else 0
        kind = chance.randrange(10)
        if not changed or kind == 0:
            changed.insert(at, chance.choice(others))
        elif kind == 1:
            del changed[at]
        elif kind == 2:
            changed.insert(at, changed[chance.randrange(len(changed))])
        elif kind == 3:
            other = chance.randrange(len(changed))
            changed[at], changed[other] = changed[other], changed[at]
        elif kind == 4:
            changed[at] = Step(chance.randrange(KINDS), changed[at].content)
        elif kind == 5:
            changed[at] = Step(changed[at].kind, mutate_bytes(chance, changed[at].content))
        else:
            changed[at] = Step(changed[at].kind, mutate_unit(chance, changed[at].content))
    return changed
