// The broker as a whole: live charts, totals, the ledger, listeners.
import { chart } from "../charts.js"
import { element, figures, table } from "../dom.js"

export const overview = {
  title: "Overview",
  load: async () => null,
  show: ({ summary }) => {
    const own = summary.hubbub
    const objects = summary.object_totals
    return element("div", {},
      figures({
        Durability: own.durability, Store: own.store.status, Ready: summary.queue_totals.messages_ready,
        Unacked: summary.queue_totals.messages_unacknowledged, Connections: objects.connections, Channels: objects.channels,
        Queues: objects.queues, Exchanges: objects.exchanges, Consumers: objects.consumers,
        Unaccounted: own.ledger.unaccounted ?? 0,
      }),
      element("div", { class: "charts" },
        chart("Messages per second", "rates"), chart("Queued messages", "queued"),
        chart("Store", "disk"), chart("Commit, fsync included", "commit")),
      element("h2", {}, "Ledger"),
      element("p", {}, "What came in equals what went out plus what is there."),
      table("Messages since the start, all queues", [
        { title: "What happened", value: ([word]) => word.replaceAll("_", " ") },
        { title: "Messages", value: ([, count]) => count },
      ], Object.entries(own.ledger).filter(([, count]) => count).sort()),
      element("h2", {}, "Listeners"),
      table("Where it listens", [
        { title: "Protocol", value: each => each.protocol },
        { title: "Address", value: each => each.ip_address },
        { title: "Port", value: each => String(each.port) },
      ], summary.listeners))
  },
}
