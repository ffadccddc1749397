"""Prometheus: who is asked who a user is, what they say, and what of it was written down.

Owns these metrics' names. Reads the chain of backends that the core's access asks, where there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


def rate_metrics(rates: Any) -> Iterator[Metric]:
    """Of core.publish_rates.PublishRates."""
    yield GaugeMetricFamily(
        "hubbub_connections_rate_limited", "Connections that rest, as they published too fast.", value=rates.resting
    )
    waits = CounterMetricFamily(
        "hubbub_publish_rate_waits", "How often a connection had to rest, by whose limit.", labels=["kind", "name"]
    )
    for (kind, name), count in sorted(rates.waits.items()):
        waits.add_metric([kind, name], count)
    yield waits


def check_metrics(checks: Any) -> Iterator[Metric]:
    """Of authentication.password_checks.PasswordChecks; nothing where the loop itself verifies."""
    if checks is None:
        return
    yield CounterMetricFamily("hubbub_password_hashes", "Hashes computed to verify a password.", value=checks.verified)
    yield GaugeMetricFamily(
        "hubbub_password_hashes_waiting",
        "Logins that wait for their password to be verified.",
        value=len(checks.questions.asked),
    )
    yield CounterMetricFamily(
        "hubbub_password_hashes_overflow", "Logins refused because too many waited.", value=checks.questions.refused
    )


def login_metrics(access: Any, audit: Any, rates: Any) -> Iterator[Metric]:
    """Of core.access.Access, and of audit_log.AuditLog where there is one."""
    if audit is not None:
        yield CounterMetricFamily("hubbub_audit_lines", "Lines of the audit log.", value=audit.written)
        yield CounterMetricFamily("hubbub_audit_lost", "Lines that could not be written.", value=audit.lost)
    yield CounterMetricFamily("hubbub_logins", "Logins that were let in.", value=access.logins)
    yield CounterMetricFamily("hubbub_logins_refused", "Logins that were refused.", value=access.logins_refused)
    failures = access.failures
    yield CounterMetricFamily("hubbub_logins_failed", "Logins whose proof was wrong.", value=failures.counted)
    yield CounterMetricFamily(
        "hubbub_logins_throttled", "Logins refused unseen: too many had failed.", value=failures.made_to_wait
    )
    yield GaugeMetricFamily(
        "hubbub_login_failures_remembered",
        "Users and addresses whose failures are counted.",
        value=len(failures.by_pair),
    )
    yield from rate_metrics(rates)
    yield from check_metrics(access.checks)
    chain = access.others
    if chain is None:
        return
    said = CounterMetricFamily(
        "hubbub_authentication", "What backends said of logins and rights.", labels=["backend", "outcome"]
    )
    outcomes: Counter[tuple[str, str]] = Counter(chain.outcomes)
    for each in chain.backends:
        outcomes.update(getattr(each, "outcomes", ()))
    for (backend, outcome), count in sorted(outcomes.items()):
        said.add_metric([backend, outcome], count)
    yield said
    yield GaugeMetricFamily(
        "hubbub_authentication_waiting",
        "Questions to backends that wait for an answer.",
        value=len(chain.questions.asked),
    )
    yield CounterMetricFamily(
        "hubbub_authentication_overflow", "Questions refused because too many waited.", value=chain.questions.refused
    )
