"""All rows, in the order in which they are measured."""

from __future__ import annotations

from .amqp_rows import AMQP_ROWS
from .mqtt_rows import MQTT_ROWS
from .row import Row

ROWS: tuple[Row, ...] = AMQP_ROWS + MQTT_ROWS
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(row.group for row in ROWS))
