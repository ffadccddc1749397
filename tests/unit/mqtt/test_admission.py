"""Connects per second: a second's worth at once, then as time passes; time is moved by hand."""

from broker.core.clock import ManualClock
from broker.mqtt.admission import ConnectRate


def admitted(rate, tries):
    return sum(rate.admit() for _ in range(tries))


def test_a_second_s_worth_may_come_at_once_and_the_rest_is_counted():
    rate = ConnectRate(ManualClock(), 10)
    assert admitted(rate, 25) == 10
    assert rate.refused == 15


def test_room_comes_back_with_time_and_never_exceeds_a_second_s_worth():
    clock = ManualClock()
    rate = ConnectRate(clock, 10)
    admitted(rate, 10)
    clock.pass_ms(300)
    assert admitted(rate, 10) == 3
    clock.pass_ms(60_000)
    assert admitted(rate, 100) == 10


def test_a_slow_trickle_is_not_rounded_away():
    clock = ManualClock()
    rate = ConnectRate(clock, 1)
    admitted(rate, 1)
    got = 0
    for _ in range(100):
        clock.pass_ms(50)
        got += rate.admit()
    assert got == 5


def test_0_is_no_limit():
    assert admitted(ConnectRate(ManualClock(), 0), 1000) == 1000
