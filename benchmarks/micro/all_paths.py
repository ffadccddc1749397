"""Every measured path by its name."""

from __future__ import annotations

from .mqtt_paths import MQTT_PATHS
from .paths import AMQP_PATHS
from .watched_paths import WATCHED_PATHS

PATHS = {**AMQP_PATHS, **MQTT_PATHS, **WATCHED_PATHS}
