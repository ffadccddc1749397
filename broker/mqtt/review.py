# cython: annotation_typing=False
"""What a change of rights does to MQTT sessions and their connections.

Owns who is judged anew, when, and what follows. Refuses to know what a right is (`rights`).

    a change                        what follows at once
    the user is deleted             DISCONNECT 0x98; the session's subscriptions are removed
    the vhost is forbidden          DISCONNECT 0x87; likewise
    a filter is not allowed now     the subscription is removed, and what waits of it is not delivered
    a topic is denied within one    its messages are left out
    publishing is not allowed now   the next PUBLISH is refused

Invariant: a session whose client is away is judged by the user who was connected last, then by the one who comes.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from broker.mqtt import ending, rights, subscriptions
from broker.mqtt.reasons import Reason

if TYPE_CHECKING:
    from broker.core.access import User
    from broker.mqtt.connection import MqttConnection
    from broker.mqtt.session import Session
    from broker.mqtt.sessions import Sessions

RESTS_FOR_RATE = 32
"""As in connection.pxd."""

log = logging.getLogger("hubbub.mqtt")


def review(session: Session) -> bool:
    """Ask again about all that the session holds; `session.user` is whose rights count. True: routes are stale."""
    user, vhost, sessions = session.user, session.vhost, session.sessions
    if "amq.topic" not in vhost.exchanges:  # the vhost is being deleted, and the session goes with it
        sessions.end(session)
        return False
    access = sessions.broker.access
    session.judged = (user, access.generation)
    before = session.rights
    session.rights = access.topics.rights(user, vhost.name, vhost.exchanges["amq.topic"], session.client_id)
    gone = [(key, held) for key, held in session.subscriptions.items() if not rights.may_keep(session, held)]
    for key, held in gone:
        log.info("the subscription of '%s' to '%s' is not allowed any more", session.client_id, key)
        subscriptions.remove(session, key, held)
        sessions.counters.subscriptions_revoked += 1
    if gone:
        sessions.write(session)
    if gone or session.rights is not None:
        session.is_restricted = True
    session.options_changed()
    return bool(session.subscriptions) and (session.rights is not None or before is not None)


def is_judged(session: Session) -> bool:
    """Nothing has changed since it was asked last."""
    user, judged = session.user, session.judged
    if user is None:
        return True
    return judged is not None and judged[0] is user and judged[1] == session.sessions.broker.access.generation


def review_unless_judged(session: Session) -> None:
    """Of one session, whose client comes, or whose user's rights have changed."""
    if not is_judged(session) and review(session):
        session.vhost.forget_all_routes()


def review_all(sessions: Sessions, user: str | None) -> None:
    """The rights of a user have changed (None: anybody's): of its sessions, whether their clients are there or not."""
    stale = set()
    for session in list(sessions.by_name.values()):
        concerns = session.user is not None and (user is None or user == session.user.name)
        if concerns and not is_judged(session) and review(session):
            stale.add(session.vhost)
    for vhost in stale:
        vhost.forget_all_routes()


def become(connection: MqttConnection, user: User) -> None:
    """The same user by another login: what was answered to the last one is asked again."""
    connection.user = connection.session.user = user
    on_rights_changed(connection)


def on_rights_changed(connection: MqttConnection) -> None:
    """See core.presence.Present."""
    if connection.state != ending.RUNNING:
        return
    user, vhost = connection.user, connection.vhost
    if user.is_deleted:
        ending.disconnect(connection, Reason.ADMINISTRATIVE_ACTION, f"user '{user.name}' is deleted")
    elif not user.asks_others and not user.may_access(vhost.name):
        text = f"access to vhost '{vhost.name}' refused for user '{user.name}'"
        ending.disconnect(connection, Reason.NOT_AUTHORIZED, text)
    else:
        review_unless_judged(connection.session)
        connection.forget_rights()
        be_metered(connection)


def be_metered(connection: MqttConnection) -> None:
    """What its user and vhost may publish per second holds from now on."""
    rates = connection.broker.publish_rates
    if connection.meter is not None or rates.are_set:
        rates.renew(connection, partial(connection.rest, RESTS_FOR_RATE), partial(connection.go_on, RESTS_FOR_RATE))
