"""How clients use a broker besides streaming: short rounds, many queues, priorities, dead letters, beside RabbitMQ."""
