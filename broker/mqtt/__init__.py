"""MQTT 3.1, 3.1.1 and 5: packets, sessions and subscriptions on the core's exchanges and queues."""
