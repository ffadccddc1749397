"""What operators do to a broker that is at work, at random: each deed is a question to the HTTP API, a signal, a file.

Owns the deeds. Each leaves the broker usable, for a while at least, for what is judged (`load`'s queues), and takes
back what would stop it.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.recovery.everything import Everything
from tests.support.polling import eventually

ALL = {"configure": ".*", "write": ".*", "read": ".*"}
POLICIES: tuple[dict[str, Any], ...] = (
    {"max-length": 10}, {"message-ttl": 50}, {"max-length": 5, "overflow": "reject-publish"}, {"expires": 200},
    {"dead-letter-exchange": "amq.fanout", "max-length-bytes": 100}, {"alternate-exchange": "amq.topic"},
    {"delivery-limit": 2},
)  # fmt: skip


class Turmoil:
    """Deeds upon one broker; `done` counts them by name."""

    def __init__(self, broker: Everything, chance: random.Random) -> None:
        self.broker, self.chance = broker, chance
        self.done: Counter[str] = Counter()
        self.deeds: tuple[Callable[[], None], ...] = (
            self.flip_policy, self.change_permission, self.delete_user, self.delete_queue, self.import_definitions,
            self.reload, self.rotate_certificates, self.raise_alarm, self.watch_messages, self.limit_rate,
            self.replace_vhost, self.close_connections, self.change_rules, self.flip_tracing,
        )  # fmt: skip

    def anything(self) -> None:
        """One deed."""
        deed = self.chance.choice(self.deeds)
        deed()
        self.done[deed.__name__] += 1

    def ask(self, method: str, path: str, body: Any = None, *also: int) -> Any:
        """The answer; any other status than success or `also` is a fault."""
        status, answer = self.broker.api(method, path, body)
        assert status < 300 or status in also, (method, path, status, answer)
        return answer

    def make_user(self) -> None:
        self.ask("PUT", "/api/users/noisy", {"password": "noisy", "tags": ""})
        self.ask("PUT", "/api/permissions/%2F/noisy", ALL)

    def flip_policy(self) -> None:
        name = f"/api/policies/%2F/noise{self.chance.randrange(3)}"
        if self.chance.random() < 0.4:
            self.ask("DELETE", name, None, 404)
            return
        definition = self.chance.choice(POLICIES)
        pattern = self.chance.choice(("^noise", "^noise\\.[0-2]", "^(?!kill|amq)", "^(a|aa)+$"))
        self.ask("PUT", name, {"pattern": pattern, "definition": definition, "priority": self.chance.randrange(3)})

    def change_permission(self) -> None:
        one = self.chance.choice((ALL, {**ALL, "write": "^$"}, {**ALL, "read": "^noise\\.[12]$"}, None))
        self.ask("DELETE" if one is None else "PUT", "/api/permissions/%2F/noisy", one, 404)
        self.ask("PUT", "/api/permissions/%2F/noisy", ALL)

    def delete_user(self) -> None:
        self.ask("DELETE", "/api/users/noisy")
        self.make_user()

    def delete_queue(self) -> None:
        path = f"/api/queues/%2F/noise.{self.chance.randrange(5)}"
        self.ask("DELETE", path + self.chance.choice(("", "/contents")), None, 404)
        self.ask("DELETE", f"/api/exchanges/%2F/noise.x{self.chance.randrange(5)}", None, 404)

    def import_definitions(self) -> None:
        # What came back is what was there a moment ago: queues that expired meanwhile are there again.
        self.ask("POST", "/api/definitions", self.ask("GET", "/api/definitions"), 400)

    def reload(self) -> None:
        mqtt = {"session_messages_max": self.chance.randrange(1, 200)}
        self.broker.write_settings(
            drain_after_s=self.chance.randrange(2), limits={"mqtt_inflight_max": mqtt["session_messages_max"]}
        )
        if self.chance.random() < 0.5:
            self.ask("POST", "/api/hubbub/reload", {})
            return
        assert self.broker.process is not None
        self.broker.process.send_signal(signal.SIGHUP)

    def rotate_certificates(self) -> None:
        self.broker.rotate_certificates()

    def raise_alarm(self) -> None:
        self.broker.write_settings(disk_free_min_bytes=1 << 60)
        self.ask("POST", "/api/hubbub/reload", {})
        eventually(lambda: "disk" in self.alarms())
        self.broker.write_settings()
        self.ask("POST", "/api/hubbub/reload", {})
        eventually(lambda: not self.alarms())

    def alarms(self) -> Any:
        return self.ask("GET", "/api/overview")["hubbub"]["alarms"]

    def watch_messages(self) -> None:
        for each in self.ask("GET", "/api/hubbub/traces"):
            self.ask("DELETE", f"/api/hubbub/traces/{each['id']}", None, 404)
        self.ask("POST", "/api/hubbub/traces", {"vhost": "/", "queue": "kill.direct"})

    def flip_tracing(self) -> None:
        self.ask("PUT", "/api/vhosts/%2F", {"tracing": self.chance.random() < 0.5})

    def limit_rate(self) -> None:
        path = "/api/user-limits/noisy/max-messages-per-second"
        if self.chance.random() < 0.5:
            self.ask("PUT", path, {"value": self.chance.randrange(1, 100)})
        else:
            self.ask("DELETE", path)

    def replace_vhost(self) -> None:
        self.ask("PUT", "/api/vhosts/brief", {})
        self.ask("PUT", "/api/permissions/brief/noisy", ALL)
        for number in range(20):
            self.ask("PUT", f"/api/queues/brief/q{number}", {"durable": True})
        self.ask("DELETE", "/api/vhosts/brief")

    def close_connections(self) -> None:
        self.ask("DELETE", "/api/connections/username/noisy")

    def change_rules(self) -> None:
        verb = self.chance.choice(("allow", "deny"))
        rule = {"permission": verb, "action": "subscribe", "topic": f"noise/{self.chance.randrange(9)}/#"}
        self.ask("PUT", "/api/hubbub/mqtt/acls/%2F", {"rules": [rule]})
