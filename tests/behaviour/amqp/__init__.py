"""AMQP 0-9-1 as clients live it. The oracle for codes, texts and order is RabbitMQ (HUBBUB_TEST_PEER=rabbitmq)."""
