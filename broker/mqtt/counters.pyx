"""What the dialect counts, where it happens: one addition each. Presentation is others' concern."""


cdef class Counters:
    """Of all MQTT connections and sessions of the broker."""
