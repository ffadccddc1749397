"""A broker in memory (`peer.House`) as management sees a server: for what a scrape costs.

Owns the server's side of a scrape where there is no server: no sockets, no listeners, no certificates.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from broker.config import Mqtt
from broker.limits import Limits
from broker.management.attempts import LoginAttempts
from broker.memory_alarm import MemoryAlarm
from broker.mqtt.endpoint import Endpoint as MqttEndpoint
from broker.mqtt.observed import Observed
from broker.net.stalls import LAG_BOUNDS_S

from .peer import House


class ObservedHouse:
    """What `management.observed.ObservedServer` asks for."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.broker = house.broker
        self.store = house.store
        self.attempts = LoginAttempts()
        house.broker.events.login_watcher = self.attempts.watch
        self.mqtt = MqttEndpoint(house.broker, Limits(), Mqtt())
        self.observed_mqtt = Observed(self.mqtt)
        self.dialects = {"amqp091": house.endpoint}
        self.turn = SimpleNamespace(count=0, entered=0)
        self.started_at = 0.0
        self.durability = "memory"
        self.certificates: Any = None
        self.audit: Any = None
        self.spans: Any = None
        self.accepting = True
        self.edge_counts = {"accepted": 0, "refused": 0, "accept_pauses": 0}
        self.proxies = SimpleNamespace(accepted=0, refused={"missing": 0})
        self.websockets = SimpleNamespace(connections=[], opened=0, refused={}, closed={}, timed_out={})
        self.websocket_paths = ()
        lags = [0] * (len(LAG_BOUNDS_S) + 1)
        self.stalls = SimpleNamespace(counts={"reading": 0}, longest_s=0.0, lag_counts=lags, lag_sum_s=0.0)
        self.connections_max = 65_536
        self.scraped_objects_max = 10_000
        self.memory_limit_bytes = 1 << 30
        self.memory_alarm = MemoryAlarm(house.broker, house.clock, self.memory_limit_bytes)
        self.disk_free_limit_bytes = 1 << 26

    def connections(self) -> list[Any]:
        """The open connections."""
        return list(self.house.endpoint.connections)
