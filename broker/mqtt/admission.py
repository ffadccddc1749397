# cython: annotation_typing=False
"""How many clients may connect per second (MQTT 5.0: reason 0x9F, connection rate exceeded).

Owns a bucket of connects: it holds a second's worth, fills up as time passes, and each CONNECT takes one out. A storm
after a restart is spread over as many seconds as it needs, and those who are in are not disturbed by those who come.
Refuses to know packets: the handshake asks, and answers in its version's words.
"""

from __future__ import annotations

from typing import Any


class ConnectRate:
    """Of one listener's endpoint. `refused`: CONNECTs that came too early."""

    def __init__(self, clock: Any, per_second_max: int) -> None:
        """`per_second_max` 0: no limit."""
        self.clock = clock
        self.per_second_max = per_second_max
        self.room = float(per_second_max)
        self.filled_at_ms = clock.now_ms
        self.refused = 0

    def use(self, per_second_max: int) -> None:
        """Another rate from now on; the bucket is full again where the rate is another one."""
        if per_second_max != self.per_second_max:
            self.per_second_max = per_second_max
            self.room = float(per_second_max)
            self.filled_at_ms = self.clock.now_ms

    def admit(self) -> bool:
        """Whether one more may connect now; counted where not."""
        if not self.per_second_max:
            return True
        now_ms = self.clock.now_ms
        passed_s = (now_ms - self.filled_at_ms) / 1000
        self.filled_at_ms = now_ms
        self.room = min(float(self.per_second_max), self.room + passed_s * self.per_second_max)
        if self.room < 1:
            self.refused += 1
            return False
        self.room -= 1
        return True
