"""CONNECT to CONNACK: who it is, in which vhost, with which session, under which terms."""

import cython

from broker.mqtt.client cimport Client
from broker.mqtt.endpoint cimport Endpoint
from broker.mqtt.session cimport Session
from broker.mqtt.sessions cimport Sessions


@cython.locals(endpoint=Endpoint, is_again=bint)
cpdef on_connect(Client connection, bytes body)


@cython.locals(endpoint=Endpoint, loopback=bint)
cdef log_in(Client connection, connect)


@cython.locals(endpoint=Endpoint)
cpdef enter(Client connection, str vhost_name)


@cython.locals(endpoint=Endpoint, sessions=Sessions, session=Session, existing=Session, present=bint, must_wait=bint,
               connack=bytes)
cpdef accept(Client connection, connect, bytes last_data=*)
cpdef welcome(Client connection, Session session, bytes connack)
cdef count_in(Client connection)


@cython.locals(endpoint=Endpoint, said=dict)
cdef terms(Client connection, connect, str client_id, expiry_s, bytes last_data)
