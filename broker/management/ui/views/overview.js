// The broker as a whole: totals, live charts, the ledger, the node, listeners.
import { get } from "../api.js"
import { chart } from "../charts.js"
import { bytes, duration, element, rate, text, words } from "../dom.js"
import { facts, figures, heading, pill, section, table } from "../widgets.js"

const SEES_ALL = ["administrator", "monitoring"]
const ms = value => `${text(value)} ms`

export const overview = {
  title: "Overview",
  group: "Broker",
  load: async ({ who }) => (who.tags.some(tag => SEES_ALL.includes(tag)) ? (await get("nodes"))[0] : null),
  show: ({ summary, data: node }) => {
    const own = summary.hubbub
    const objects = summary.object_totals
    const unaccounted = own.ledger.unaccounted ?? 0
    const alarms = Object.keys(own.alarms)
    return [
      heading("Overview", null, alarms.length ? pill(`alarm: ${alarms.join(", ")}`, "bad") : pill("no alarms", "good")),
      figures({
        Ready: summary.queue_totals.messages_ready, Unacked: summary.queue_totals.messages_unacknowledged,
        "Published /s": rate(summary.message_stats, "publish"), "Delivered /s": rate(summary.message_stats, "deliver_get"),
        Connections: objects.connections, Channels: objects.channels, Queues: objects.queues, Consumers: objects.consumers,
        Durability: own.durability, Unaccounted: [unaccounted, unaccounted ? "bad" : "good"],
      }),
      element("div", { class: "charts" },
        chart("Messages per second", "rates"), chart("Queued messages", "queued"),
        chart("Commit, fsync included", "commit", ms), chart("Memory", "memory", bytes),
        chart("Store on disk", "disk", bytes), chart("Who is here", "here")),
      element("div", { class: "columns" }, ledger(own.ledger), element("div", {}, node && state(summary, node), listeners(summary.listeners ?? []))),
    ]
  },
}

function ledger(counts) {
  const seen = Object.entries(counts).filter(([word, count]) => count && word !== "unaccounted")
  return section("Ledger", null, element("p", { class: "hint" }, "What came in equals what went out plus what is there."),
    table("Messages since the start, all queues", [
      { title: "What happened", value: ([word]) => words(word) },
      { title: "Messages", value: ([, count]) => count },
    ], seen.sort(), { nothing: "No message yet.", hint: "Publish one under “Publish & subscribe”.", key: ([word]) => word }))
}

function state(summary, node) {
  const { store } = summary.hubbub
  const used = (part, whole) => element("span", {}, `${bytes(part)} of ${bytes(whole)}`)
  return section("Node", null, facts({
    Name: node.name, Up: duration(node.uptime / 1000), "Process": node.os_pid, Processors: node.processors,
    "Memory, resident": bytes(node.mem_used), "Messages in memory, at most": bytes(node.mem_limit),
    "Disk free": bytes(node.disk_free), "Publishers wait below": bytes(node.disk_free_limit),
    Descriptors: `${text(node.fd_used)} of ${text(node.fd_total)}`, Sockets: `${text(node.sockets_used)} of ${text(node.sockets_total)}`,
    Store: store.status === "ok" ? pill("ok", "good") : pill(`${store.status}: ${store.status_text}`, "bad"),
    "Store, live of file": store.file_bytes ? used(store.live_bytes, store.file_bytes) : bytes(store.live_bytes),
    Commits: store.commits,
  }))
}

function listeners(found) {
  return section("Listeners", null, table("Where it listens", [
    { title: "Protocol", value: each => each.protocol },
    { title: "Address", value: each => each.ip_address },
    { title: "Port", value: each => String(each.port), number: true },
  ], found, { key: each => `${each.protocol} ${each.ip_address} ${each.port}` }))
}
