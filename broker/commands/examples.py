"""An example of each command, shown by its --help: what one would really type.

A test holds that each command has one, and that the command takes it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click

EXAMPLES = """
acl add allow subscribe 'sensors/+/temperature' --for ann
acl list --vhost /
acl remove 2
alarms
backup /backups/today
check alarms
check certificates 1 months
check connections
check in-service
check port 5672
check protocol mqtt
check virtual-hosts
close-connection --of-user ann --reason 'maintenance at noon'
cluster-name shop
completion bash
config check /etc/hubbub/hubbub.yaml
config running --json
config show --config hubbub.yaml --set amqp.port=5673
consume orders --count 10
declare binding events orders 'order.*'
declare exchange events --type topic
declare parameter shovel nightly '{"src-queue": "a"}'
declare queue orders --type quorum --arguments '{"x-max-length": 1000}'
declare user-limit ann max-connections 10
declare vhost-limit shop max-queues 100
definitions export definitions.json
definitions import - --dry-run --prune
delete binding events orders 'order.*'
delete exchange events --if-unused
delete parameter shovel nightly
delete queue orders --if-empty
delete user-limit ann max-connections
delete vhost-limit shop max-queues
drain --after 10
explain publish --as ann amqp events order.created
explain publish --as ann mqtt devices/7/state --client-id 7 --qos 1
get orders --count 5 --keep
hash-password ann --tag monitoring
import mosquitto /etc/mosquitto/mosquitto.conf --to /etc/hubbub
import rabbitmq definitions.json --dry-run
list bindings --vhost shop
list channels --sort -messages_unacknowledged
list connections --json
list consumers
list exchanges --name '^events'
list operator-policies
list parameters
list permissions
list policies
list queues --columns name,messages,consumers --sort -messages
list topic-permissions
list users
list vhosts
listeners
memory
move failed orders --count 100
perf --publishers 2 --consumers 2 --seconds 10 --size 1000 --persistent
permission clear ann --vhost shop
permission set ann '^ann-' '.*' '.*' --vhost shop
ping --url https://broker.example.org:15671 --ca our-ca.pem
policy clear short --vhost shop
policy set short '^logs' '{"max-length": 1000}' --apply-to queues
publish events order.created '{"id": 1}' --properties '{"delivery_mode": 2}'
publish-topic home/kitchen '21 °C' --retain
purge orders
reload
serve --config hubbub.yaml --data-dir /var/lib/hubbub --set amqp.port=5673
status --profile staging
subscribe 'home/#' --protocol mqtt --qos 1
top --sort messages
topic-permission clear ann
topic-permission set ann amq.topic '^home' '^home'
trace list
trace messages --topic 'plant/+/alarm'
trace off
trace on --vhost shop
trace publish events order.created '{"id": 1}'
user add ann --tag monitoring
user delete ann
user password ann
user tags ann administrator
vhost add shop --description 'orders and stock'
vhost delete shop --yes
whoami
"""


def lines() -> Iterator[list[str]]:
    """Each example as words, without `hubbub`."""
    return (shlex.split(line) for line in EXAMPLES.strip().splitlines())


def add(main: click.Group) -> None:
    """Give each command its example."""
    for line in EXAMPLES.strip().splitlines():
        command: click.Command = main
        for word in line.split():
            found = command.commands.get(word) if isinstance(command, click.Group) else None
            if found is None and not isinstance(command, click.Group):
                break
            command = found or command
        command.epilog = f"Example: hubbub {line}"
