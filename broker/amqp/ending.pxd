"""How a connection or a channel ends: see ending.py. Compiled, as every connection has an end."""

from broker.amqp.channel cimport Channel
from broker.amqp.connection cimport AmqpConnection

cpdef finish(AmqpConnection connection)
cpdef release(AmqpConnection connection)
cpdef end(AmqpConnection connection, str reason)
cpdef end_channel(Channel channel)
