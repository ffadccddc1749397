"""A client's connection without its bytes: see client.pxd."""

from functools import partial

from broker.mqtt.session cimport Session
from broker.wire.connection cimport Connection
from broker.wire.output cimport output_neglected

PROTOCOLS = {3: "MQTT 3-1", 4: "MQTT 3-1-1", 5: "MQTT 5-0"}


cdef class Client(Connection):
    """One client over MQTT, of any version."""

    cpdef write(self, bytes packet):
        """Sends a packet, but never one that is larger than the client takes [MQTT-3.1.2-24]: that is the end."""
        if <size_t>len(packet) > self.packet_bytes_max:
            self.on_unsayable(len(packet))
        elif packet:
            self.counters.packets_sent += 1
            self.output.write(packet, len(packet))
            if output_neglected(self.output):
                self.rest(RESTS_FOR_READER)

    cpdef run(self, Session session):
        """CONNECT is accepted: what follows is the session's."""
        self.session = session
        self.state = RUNNING

    cpdef leave(self):
        """Nothing more is the session's. It, or None where that was so before."""
        session, self.session = self.session, None
        return session

    def on_unsayable(self, size):
        """The client takes no packet as large as the one that it must be sent [MQTT-3.1.2-24]."""
        raise NotImplementedError("who knows packets has words for it")

    def on_not_stored(self):
        """The store has failed: what was asked for can't be promised."""
        raise NotImplementedError("who knows packets has words for it")

    # ── reading rests ─────────────────────────────────────────────────────────────────────────────────────────────

    cpdef rest(self, int reason):
        """Stops consuming: what comes waits at the edge."""
        if self.rests == 0:
            self.output.pause_reading()
        self.rests |= reason

    cpdef go_on(self, int reason):
        """The reason is gone; reading goes on when it was the last."""
        if self.rests & reason:
            self.rests &= ~reason
            if self.rests == 0 and self.state != CLOSED:
                self.received_ms = self.clock.now_ms        # it could not be heard meanwhile
                self.output.resume_reading()

    @property
    def is_resting(self) -> bool:
        """Reading is stopped by the broker."""
        return self.rests != 0

    def must_rest(self) -> bool:
        """No publish is begun while there is an alarm."""
        if self.is_blocked:
            self.rest(RESTS_FOR_ALARM)
        return self.is_blocked

    def when_stored(self, done):
        """Calls `done()` when what the open batch holds is on disk; until then nothing more is read (law 1)."""
        self.rest(RESTS_FOR_STORE)
        self.broker.when_stored(partial(self.on_stored, done), self.on_not_stored)

    def on_stored(self, done):
        """The batch is on disk."""
        if self.state != CLOSED:
            done()
        self.go_on(RESTS_FOR_STORE)

    def await_decision(self, question):
        """The packet is taken again when others have said who the user is, or what they may."""
        self.rest(RESTS_FOR_DECISION)
        question.when_decided(partial(self.go_on, RESTS_FOR_DECISION))

    def rest_for_turn(self):
        """What is published goes to so many that others would wait: read on in the next turn."""
        self.rest(RESTS_FOR_TURN)
        self.broker.fan_out.rest(partial(self.go_on, RESTS_FOR_TURN))

    def rest_for_disk(self):
        """More waits for the disk than may: read on when it has what the open batch holds."""
        if not self.rests & RESTS_FOR_DISK:
            self.rest(RESTS_FOR_DISK)
            self.broker.when_stored(partial(self.go_on, RESTS_FOR_DISK), partial(self.go_on, RESTS_FOR_DISK))

    def block(self, str reason):
        """See core.broker.Blockable: MQTT has no word for it; what comes is read up to the next publish."""
        self.is_blocked = True

    def unblock(self):
        """See core.broker.Blockable."""
        self.is_blocked = False
        self.go_on(RESTS_FOR_ALARM)

    # ── for people ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def bytes_sent(self) -> int:
        """Since the connection was opened."""
        return self.output.bytes_sent

    @property
    def protocol(self) -> str:
        """For people, as RabbitMQ spells it."""
        return PROTOCOLS.get(self.version, "MQTT")

    @property
    def observed(self) -> dict:
        """What management shows besides of every connection's."""
        client_id = self.session.client_id if self.session is not None else ""
        return {"client_id": client_id, "keep_alive_s": self.keep_alive_s}
