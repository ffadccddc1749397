// The pages, in the order of the menu; those without a group are reached from others.
import { acls } from "./views/acls.js"
import { channel, channels, consumers } from "./views/channels.js"
import { connection, connections } from "./views/connections.js"
import { exchange, exchanges } from "./views/exchanges.js"
import { explain } from "./views/explain.js"
import { graph } from "./views/graph.js"
import { definitions } from "./views/definitions.js"
import { ledger } from "./views/ledger.js"
import { retained, session, sessions, subscriptions } from "./views/mqtt.js"
import { node } from "./views/node.js"
import { overview } from "./views/overview.js"
import { policies } from "./views/policies.js"
import { queue, queues } from "./views/queues.js"
import { socket } from "./views/socket.js"
import { trace, traced } from "./views/trace.js"
import { user, users } from "./views/users.js"
import { vhost, vhosts } from "./views/vhosts.js"

export const GROUPS = ["Broker", "MQTT", "Tools", "Administration"]
export const PAGES = { overview, node, connections, channels, exchanges, graph, queues, consumers, ledger, sessions, subscriptions, retained, acls, socket, explain, trace, users, vhosts, policies,
  definitions, connection, channel, exchange, queue, session, user, vhost, traced }
