"""Where messages are published to: see exchange.pxd."""

from cpython.list cimport PyList_GET_ITEM
from cpython.ref cimport PyObject

from broker.core.message cimport Message, message_view
from broker.core.properties cimport (
    PROPERTY_HEADERS, properties_scan, properties_t, table_value,
)
from broker.core.route_cache cimport Route, RouteCache, cached_t
from broker.core.sieve cimport PUBLISHED
from broker.core.target cimport ROUTED, STORED, Target
from storage.octets cimport same_bytes
from storage.records cimport (
    MESSAGE_HAS_HEADERS, message_properties, message_routing_key, message_t,
)

from broker.core.arguments import name_argument

cdef uint64_t[SIZE_BOUNDS] SIZES = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000]

# What begins so on amq.topic is a reply, and for the queue whose name follows alone: MQTT knows topics only.
cdef bytes REPLY_KEY = b"$reply-to."


cdef class Exchange:
    """A named point of publication, of a type that says which bindings match. Subclasses live in `exchange_types`."""

    def __init__(self, vhost, str name, str type, *, bint durable, bint auto_delete, bint internal, dict arguments,
                 size_t routes_cached_max):
        self.vhost = vhost
        self.name = name
        self.name_bytes = name.encode()
        self.type = type
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = arguments
        self.alternate = name_argument(arguments, "alternate-exchange")
        self.bindings = {}
        self.upstreams = set()
        self.cache = RouteCache(routes_cached_max)
        self.watch = vhost.watch
        self.fan_out = vhost.broker.fan_out

    cdef int publish(self, message_t* message) except -1:
        cdef int outcome = 0
        cdef size_t index
        cdef Route route
        cdef PyObject* cache = <PyObject*>self.cache            # borrowed: no reference counting on the fast path
        cdef cached_t* last = (<RouteCache>cache).last
        self.published_in += 1
        self.published_bytes += message.body_size
        if message.body_size > 100:
            count_size(self, message.body_size)
        if self.watch is not None:
            return publish_watched(self, message)
        if message.flags & MESSAGE_HAS_HEADERS and (self.delays or has_carbon_copies(message)):
            return self.publish_special(message_view(message))
        if last != NULL and last.key_size == message.routing_key_size \
                and last.seen == (<RouteCache>cache).changed \
                and same_bytes(last.key, message_routing_key(message), last.key_size) \
                and (<Route>last.route).count == 1:
            self.published_out += 1
            return accept_by_sole_target(<PyObject*>(<Route>last.route).targets, message)
        route = self.route(message)
        self.published_out += route.count
        if route.count > 1:
            message.fanned_out = 1
            self.fan_out.spend(route.count)
        for index in range(route.count):
            outcome |= (<Target>PyList_GET_ITEM(route.targets, index)).accept(message)
        if route.count == 0:
            self.unroutable += 1
        return outcome

    cdef Route route(self, message_t* message):
        cdef const char* key = message_routing_key(message)
        cdef size_t size = 0 if self.ignores_routing_key else message.routing_key_size
        cdef Route route = None
        if not self.depends_on_message:
            route = self.cache.find(key, size)
            if route is not None:
                return route
        route = self.resolve([message_routing_key(message)[:message.routing_key_size]], message_view(message))
        if route.is_cacheable:
            self.cache.remember(key, size, route)
        return route

    def resolve(self, list routing_keys, message) -> Route:
        """Every target of a message, each once, through exchanges and alternates; cycles are walked once.

        Its own routing key comes first, those of its carbon copies follow: each exchange on the way looks at all.
        """
        if routing_keys[0].startswith(REPLY_KEY) and self.name == "amq.topic":
            return Route(self.vhost.reply_targets_of(routing_keys[0][len(REPLY_KEY):]), False)
        targets: dict = {}
        seen = {self}
        waiting = [self]
        cacheable = True
        while waiting:
            exchange = waiting.pop()
            cacheable = cacheable and not (<Exchange>exchange).depends_on_message
            found = exchange.find(routing_keys[0], message)
            if len(routing_keys) > 1:
                found = {destination: None for key in routing_keys for destination in exchange.find(key, message)}
            if not found and (<Exchange>exchange).alternate is not None:
                alternate = self.vhost.exchanges.get((<Exchange>exchange).alternate)
                found = [alternate] if alternate is not None else ()
            for destination in found:
                if not isinstance(destination, Exchange):
                    targets[destination] = None
                elif destination not in seen:
                    seen.add(destination)
                    waiting.append(destination)
        return Route(list(targets), cacheable)

    def targets_of(self, list routing_keys, Message message) -> list:
        """Every target of a message whose own routing key is the first; not to be changed."""
        return (self.route(message.message) if len(routing_keys) == 1 else self.resolve(routing_keys, message)).targets

    def publish_message(self, Message message) -> int:
        """`publish` for cold code: ROUTED, STORED, REFUSED or'ed; 0 where nobody took it."""
        return self.publish(message.message)

    def publish_special(self, message) -> int:
        """Delayed messages, and sender-selected distribution (CC and BCC headers): the rare ways, in Python."""
        if self.delays and self.vhost.delay(self, message):
            if self.watch is not None:
                self.watch.delayed(self, message)
            return ROUTED | STORED              # accepted when the delayed index is on disk
        return self.vhost.publish_carbon_copies(self, message)

    def hand_out(self, Message message, list targets) -> int:
        """Hand a message that was published here to these, found on one of the rarer ways."""
        self.count_routed(len(targets))
        if self.watch is None:
            return accept_all(message, targets)
        self.watch.published(self, message, targets)
        return watched_accept(self.watch, message, targets)

    def count_routed(self, size_t targets):
        """A message that was published here before has been handed to so many targets, on one of the rarer ways."""
        self.published_out += targets
        if targets > 1:
            self.fan_out.spend(targets)
        if targets == 0:
            self.unroutable += 1

    # What a type adds: which destinations of its own bindings match.

    def find(self, bytes routing_key, message):
        """Destinations (Queue, Exchange or other Target) of the matching bindings."""
        raise NotImplementedError

    def add(self, binding):
        """Takes a new binding into the type's own index. Raises PreconditionFailed where it makes no sense."""
        raise NotImplementedError

    def remove(self, binding):
        """Forgets a binding."""
        raise NotImplementedError

    @property
    def counts(self) -> dict:
        """The exchange's side of the ledger, in messages."""
        return {"published": self.published_in, "routed": self.published_out, "unroutable": self.unroutable,
                "returned": self.returned}

    @property
    def size_counts(self) -> list:
        """How many messages had at most 100 bytes, 1,000, 10,000 … and more than 100 MB, each not counted below; and
        the bytes of all."""
        cdef int index
        larger = [self.larger[index] for index in range(SIZE_BOUNDS)]
        return [self.published_in - sum(larger), *larger, self.published_bytes]

    def match_all_keys_alike(self):
        """The type does not look at the routing key (fanout)."""
        self.ignores_routing_key = True

    def match_by_message(self):
        """The type looks at more than the routing key: no answer can be kept."""
        self.depends_on_message = True

    def delay_messages(self):
        """x-delayed-message: a message with `x-delay` is routed later."""
        self.delays = True

    # Caches, for the vhost.

    def forget_routes(self, bytes binding_key=None):
        """A binding changed: forget what it may concern; everything where `binding_key` is None."""
        if binding_key is None or self.ignores_routing_key:
            self.cache.forget_all()
        else:
            self.cache.forget_matching(binding_key, len(binding_key))


def accept_all(Message message, targets) -> int:
    """Hands one message to each of `targets`; ROUTED, STORED, REFUSED or'ed."""
    cdef int outcome = 0
    for target in targets:
        outcome |= (<Target>target).accept(message.message)
    return outcome


cdef inline int accept_by_sole_target(PyObject* targets, message_t* message) except -1:
    """The common case: last time's key, and one queue. It is held: a dead letter may empty the cache meanwhile."""
    cdef Target target = <Target>PyList_GET_ITEM(<list>targets, 0)
    return target.accept(message)


cdef inline void count_size(Exchange exchange, uint64_t size) noexcept:
    """It is above 100 bytes. RabbitMQ's bounds are powers of ten, and 50 MB."""
    cdef int index = 0
    while index < SIZE_BOUNDS - 1 and size > SIZES[index + 1]:
        index += 1
    exchange.larger[index] += 1


cdef int publish_watched(Exchange exchange, message_t* message) except -1:
    """Somebody may want to hear of it: then what has no queue says itself whether it was handed out."""
    cdef int outcome = 0
    cdef size_t index
    cdef Route route
    cdef cached_t* last = exchange.cache.last
    if message.flags & MESSAGE_HAS_HEADERS and (exchange.delays or has_carbon_copies(message)):
        return exchange.publish_special(message_view(message))
    if last != NULL and last.key_size == message.routing_key_size and last.seen == exchange.cache.changed \
            and same_bytes(last.key, message_routing_key(message), last.key_size):
        route = <Route>last.route
    else:
        route = exchange.route(message)
    exchange.published_out += route.count
    if route.count > 1:
        message.fanned_out = 1
        exchange.fan_out.spend(route.count)
    if exchange.watch.lets(PUBLISHED, message, None, 0, 0, route.targets, None):
        view = message_view(message)
        exchange.watch.published(exchange, view, route.targets)
        outcome = watched_accept(exchange.watch, view, route.targets)
    else:
        for index in range(route.count):
            outcome |= (<Target>PyList_GET_ITEM(route.targets, index)).accept(message)
    if route.count == 0:
        exchange.unroutable += 1
    return outcome


cdef int watched_accept(watch, Message message, list targets) except -1:
    cdef int outcome = 0
    for target in targets:
        outcome |= watch.accept(target, message)
    return outcome


cdef bint has_carbon_copies(message_t* message) except -1:
    """True where the headers have CC or BCC (RabbitMQ: sender-selected distribution)."""
    cdef properties_t found
    cdef const char* raw = message_properties(message)
    cdef size_t size
    if properties_scan(raw, message.properties_size, &found) != 0:
        return False
    raw += found.fields[PROPERTY_HEADERS].offset
    size = found.fields[PROPERTY_HEADERS].size
    return table_value(raw, size, b"CC", 2, None) is not None or table_value(raw, size, b"BCC", 3, None) is not None
