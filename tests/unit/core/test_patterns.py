"""Regular expressions that users give: what they match, what they may cost, what is said of those that are none."""

from __future__ import annotations

import time

import pytest

from broker.core.patterns import BOUNDED, PATTERN_MAX, InvalidPatternError, Pattern

EVIL = ("(a+)+$", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", r"(?:a|a|a)*$", r"((a+)+)+\1$")
"""Each takes a backtracking matcher longer than the universe has."""


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("", "anything", True),
        (".*", "", True),
        ("^.*$", "two\nlines", False),  # which a dot does not match
        ("^$", "", True),
        ("^$", "q", False),
        ("orders", "eu.orders.new", True),
        (r"^(?!amq\.).*", "amq.topic", False),  # as in RabbitMQ's own examples
        (r"^(?!amq\.).*", "orders", True),
        (r"^(?<kind>a|b)-\k<kind>$", "a-a", True),
        ("(?i)ÄPFEL", "äpfel", True),
        ("^.b$", "äb", True),
        (r"^\?$", "\udcff", True),  # an octet that is no UTF-8
        (".*", "\udcff", True),
    ],
)
def test_where_a_pattern_fits(pattern: str, name: str, fits: bool) -> None:
    assert Pattern(pattern).fits(name) is fits


@pytest.mark.parametrize("evil", EVIL)
def test_a_pattern_that_backtracks_without_end_fits_nothing_and_stops_nobody(evil: str) -> None:
    pattern = Pattern(evil)

    began_s = time.process_time()
    found = [pattern.fits("a" * length + "!") for length in (30, 100, 255)]

    assert time.process_time() - began_s < 1
    assert found == [False] * 3
    assert pattern.excesses


def test_a_pattern_cannot_raise_its_own_bound() -> None:
    began_s = time.process_time()

    assert not Pattern("(*LIMIT_MATCH=4000000000)(*LIMIT_HEAP=4000000)(a|aa)+$").fits("a" * 255 + "!")

    assert time.process_time() - began_s < 1


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("(a", "missing closing parenthesis", 2),
        ("[", "missing terminating ] for character class", 1),
        ("a{0,70000}", "number too big in {} quantifier", 9),
        ("((a{0,255}){0,255}){0,255}", "regular expression is too large", 0),
        ("x" * (PATTERN_MAX + 1), f"expected at most {PATTERN_MAX} characters", 0),
        ("\udcff", "it is not UTF-8", 0),
    ],
)
def test_what_is_no_pattern_is_said_with_its_place(text: str, reason: str, position: int) -> None:
    with pytest.raises(InvalidPatternError) as refused:
        Pattern(text)

    assert refused.value.reason == reason
    assert refused.value.position == position
    assert BOUNDED not in refused.value.text
