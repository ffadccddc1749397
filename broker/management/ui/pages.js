// The pages, in the order of the menu; those without a group are reached from others.
import { acls } from "./views/acls.js"
import { connection, connections } from "./views/connections.js"
import { exchange, exchanges } from "./views/exchanges.js"
import { explain } from "./views/explain.js"
import { graph } from "./views/graph.js"
import { definitions } from "./views/definitions.js"
import { retained, session, sessions, subscriptions } from "./views/mqtt.js"
import { overview } from "./views/overview.js"
import { policies } from "./views/policies.js"
import { queue, queues } from "./views/queues.js"
import { socket } from "./views/socket.js"
import { trace, traced } from "./views/trace.js"
import { user, users } from "./views/users.js"
import { vhost, vhosts } from "./views/vhosts.js"

export const GROUPS = ["Broker", "MQTT", "Tools", "Administration"]
export const PAGES = { overview, connections, exchanges, graph, queues, sessions, subscriptions, retained, acls, socket, explain, trace, users, vhosts, policies,
  definitions, connection, exchange, queue, session, user, vhost, traced }
