"""What the tests share: servers as processes, a raw AMQP client, polling. Knows nothing of the broker's insides."""
