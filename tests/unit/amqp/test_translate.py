"""The core's refusals in AMQP's words, and which of them close the connection."""

from __future__ import annotations

import inspect

import pytest

from broker.amqp.translate import CODES, HARD, REPLY_NAMES, AmqpError, reply_for
from broker.core import errors

# AMQP 0-9-1 §1.2 (constants), by class: soft errors close the channel, hard ones the connection.
SOFT_CODES = {311, 313, 403, 404, 405, 406}
HARD_CODES = {320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541}


def every_core_error():
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.CoreError) and kind is not errors.CoreError
    ]


@pytest.mark.parametrize("kind", every_core_error(), ids=lambda kind: kind.__name__)
def test_every_refusal_of_the_core_has_a_reply_code(kind):
    error = reply_for(kind("the text"))
    assert error.code in REPLY_NAMES
    assert error.text == f"{REPLY_NAMES[error.code]} - the text"
    assert any(each in CODES for each in kind.__mro__)


def test_a_subclass_is_translated_as_what_it_is_a_kind_of():
    assert reply_for(errors.BindingInvalid("x")).code == CODES[errors.PreconditionFailed] == 406


def test_an_unknown_kind_of_refusal_is_an_internal_error():
    assert reply_for(errors.CoreError("x")).code == 541


@pytest.mark.parametrize("code", sorted(REPLY_NAMES))
def test_hard_and_soft_are_the_specifications(code):
    if code == 506:
        assert not AmqpError(506, "").is_hard  # RabbitMQ closes the channel only
    elif code == 312:
        assert not AmqpError(312, "").is_hard  # said by basic.return, never by a close
    else:
        assert AmqpError(code, "").is_hard == (code in HARD_CODES)
        assert (code in SOFT_CODES) != (code in HARD_CODES)


def test_a_code_that_is_soft_elsewhere_can_be_hard():
    assert 403 not in HARD
    assert AmqpError(403, "login", hard=True).is_hard
