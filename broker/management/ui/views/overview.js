// The broker as a whole: totals, charts, the ledger in short, listeners.
import { get, put } from "../api.js"
import { chart, ranges } from "../charts.js"
import { bytes, duration, element, rate, text } from "../dom.js"
import { history, lines, sampled } from "../samples.js"
import { button, facts, figures, formDialog, heading, link, pill, section, table } from "../widgets.js"
import { account, balance } from "./ledger.js"

const SEES_ALL = ["administrator", "monitoring"]
export const seesAll = who => who.tags.some(tag => SEES_ALL.includes(tag))
export const ms = seconds => (seconds < .0995 ? `${text(Math.round(seconds * 10000) / 10)} ms` : `${text(Math.round(seconds * 1000))} ms`)
// Of two counters per second, one over the other: the mean.
export const ratio = (of, over) => series => series[of].map((value, at) => (series[over][at] ? value / series[over][at] : null))

const latest = (past, name) => past?.series[name]?.findLast(Number.isFinite)

export const overview = {
  title: "Overview",
  group: "Broker",
  load: async ({ who }) => {
    if (!seesAll(who)) return {}
    const [[node], past] = await Promise.all([get("nodes"), history()])
    return { node, past }
  },
  show: here => {
    const { summary, data: { node, past } } = here
    const own = summary.hubbub
    const objects = summary.object_totals
    const unaccounted = own.ledger.unaccounted ?? 0
    const alarms = Object.keys(own.alarms)
    return [
      heading("Overview", past && ranges(here), alarms.length ? pill(`alarm: ${alarms.join(", ")}`, "bad") : pill("no alarms", "good")),
      figures({
        Ready: [summary.queue_totals.messages_ready, "", "#queues?sort=messages_ready&reverse=true"],
        Unacked: [summary.queue_totals.messages_unacknowledged, "", "#queues?sort=messages_unacknowledged&reverse=true"],
        "Published /s": latest(past, "publish") ?? rate(summary.message_stats, "publish"), "Delivered /s": latest(past, "deliver_get") ?? rate(summary.message_stats, "deliver_get"),
        Connections: [objects.connections, "", "#connections"], Channels: [objects.channels, "", "#channels"], Queues: [objects.queues, "", "#queues"],
        Consumers: [objects.consumers, "", "#consumers"], Durability: own.durability, Unaccounted: [unaccounted, unaccounted ? "bad" : "good", "#ledger"],
      }),
      element("div", { class: "charts" }, past ? charts(past) : [chart("Messages per second", sampled("rates")), chart("Queued messages", sampled("queued"))]),
      element("div", { class: "columns" },
        section("Ledger", link("#ledger", "Queue by queue"), element("p", { class: "hint" }, "What came in equals what went out plus what is there. ", balance(own.ledger)),
          account("Messages since the start, all queues", own.ledger)),
        element("div", {}, state(here, node), listeners(summary.listeners ?? []))),
    ]
  },
}

function charts(past) {
  return [
    chart("Messages per second", lines(past, { published: "publish", delivered: "deliver_get", acknowledged: "ack" })),
    chart("Queued messages", lines(past, { ready: "ready", unacked: "unacked" })),
    chart("Commit, fsync included", lines(past, { mean: ratio("commit_seconds", "commits"), "slowest, at most": "slowest_commit" }), ms,
      "How long the disk takes to have a batch: what publishers wait for"),
    chart("Memory", lines(past, { resident: "resident" }), bytes),
    chart("Disk free", lines(past, { free: "disk_free" }), bytes, "Below disk_free_min_bytes publishers wait"),
    chart("Connections, channels, queues", lines(past, { connections: "connections", channels: "channels", queues: "queues", consumers: "consumers" })),
  ]
}

function state(here, node) {
  const { summary } = here
  const rename = button("Rename", () => formDialog("Cluster name", [{ name: "name", label: "Name", value: summary.cluster_name, required: true, wide: true }], "Rename",
    ({ name }) => here.attempt(() => put("cluster-name", { name }), `The cluster is called ${name}`)), "", "Rename the cluster", here.may("administrator"))
  return section("Broker", rename, facts({
    "Cluster name": summary.cluster_name, Version: summary.product_version, Up: duration(summary.uptime / 1000),
    ...(node && { Node: link("#node", node.name), "Memory, resident": bytes(node.mem_used), "Disk free": bytes(node.disk_free),
      "Publishers wait below": bytes(node.disk_free_limit), Store: summary.hubbub.store.status === "ok" ? pill("ok", "good") : pill(summary.hubbub.store.status, "bad") }),
  }))
}

function listeners(found) {
  return section("Listeners", null, table("Where it listens", [
    { title: "Protocol", value: each => each.protocol },
    { title: "Address", value: each => each.ip_address },
    { title: "Port", value: each => String(each.port), number: true },
    { title: "TLS", value: each => each.tls },
  ], found, { key: each => `${each.protocol} ${each.ip_address} ${each.port}` }))
}
