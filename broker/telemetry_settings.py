"""The section `telemetry` of the settings: where spans go, and of which messages.

Owns names, types and defaults.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from broker.sections import Section


class Telemetry(Section, frozen=True):
    """OpenTelemetry: spans of messages that carry a trace context (W3C `traceparent`)."""

    endpoint: Annotated[str, Meta(pattern="^https?://")] | None = None
    """OTLP over HTTP, with its path: `http://127.0.0.1:4318/v1/traces`. Null: there are no spans, at no cost."""
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Of the traces whose context says that they are sampled: this part of them, by trace identifier."""
    service_name: Annotated[str, Meta(min_length=1, max_length=255)] = "hubbub"
