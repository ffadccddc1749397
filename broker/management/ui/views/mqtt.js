// What only MQTT has: sessions with their subscriptions, and what topics retain.
import { get, place, remove } from "../api.js"
import { bytes, duration, element, moment, text } from "../dom.js"
import { listed, listing } from "../listing.js"
import { back, button, dialog, empty, facts, figures, heading, link, pill, section, sure, table } from "../widgets.js"

const connected = each => (each.connected ? pill("connected", "good") : pill("away", "warn"))
const end = (each, act, then) => sure(`End the session of ${each.client_id}? Its client is disconnected, and what waits for it is gone.`, "End session",
  () => act(async () => { await remove(`hubbub/mqtt/sessions/${place(each.vhost, each.client_id)}`); then?.() }, `Ended the session of ${each.client_id}`))

export const sessions = {
  title: "Sessions",
  group: "MQTT",
  load: ({ query, scoped }) => listed(scoped("hubbub/mqtt/sessions"), query, "client_id"),
  show: here => [heading("MQTT sessions"), section("All sessions", null, listing("sessions", [
    { title: "Client id", sort: "client_id", value: each => link(`#session/${place(each.vhost, each.client_id)}`, each.client_id) },
    { title: "Vhost", sort: "vhost", value: each => each.vhost },
    { title: "State", sort: "connected", value: connected },
    { title: "Protocol", sort: "protocol", value: each => each.protocol },
    { title: "User", sort: "user", value: each => each.user },
    { title: "Subscriptions", sort: "subscription_count", value: each => each.subscription_count },
    { title: "Queued", sort: "queued", value: each => each.queued },
    { title: "In flight", sort: "inflight", value: each => each.inflight },
    { title: "Delivered", sort: "delivered", value: each => each.delivered },
    { title: "Actions", act: true, value: each => button("End", () => end(each, here.act), "danger", `End the session of ${each.client_id}`, here.may("administrator")) },
  ], here.data, { ...here, sort: "client_id", key: each => `${each.vhost} ${each.client_id}`, nothing: "No client of MQTT has a session.",
    hint: "A session begins with CONNECT; a persistent one is there while its client is away." }))],
}

export const session = {
  title: "Session",
  parent: "sessions",
  load: ({ parameters }) => get(`hubbub/mqtt/sessions/${place(...parameters)}`),
  show: here => {
    const found = here.data
    return [back("#sessions", "Sessions"),
      heading(found.client_id, button("End session", () => end(found, here.act, () => here.leave("#sessions")), "danger"), connected(found)),
      figures({ Queued: found.queued, "Bytes queued": bytes(found.queued_bytes), "In flight": found.inflight, "Awaiting PUBREL": found.awaiting_release,
        Delivered: found.delivered, Subscriptions: found.subscription_count }),
      section("Subscriptions", null, subscribed(found.subscriptions)),
      section("About it", null, facts({ Vhost: found.vhost, Protocol: found.protocol, User: found.user, "On disk": found.stored,
        Connection: found.peer ? link(`#connection/${place(`${found.peer} -> ${found.listener}`)}`, found.peer) : "",
        Since: moment(found.connected_at), "Keep-alive": found.keep_alive_s ? `${found.keep_alive_s} s` : "", Will: found.will,
        "Kept after the connection": found.expiry_interval_s === null ? "for ever" : duration(found.expiry_interval_s),
        "Expires in": duration(found.expires_in_s),
        Queue: found.queue ? link(`#queue/${place(found.vhost, found.queue)}`, found.queue) : "" }))]
  },
}

const RETAIN = ["when it subscribes", "when it subscribes anew", "never"]

function subscribed(found) {
  return table("What it wants", [
    { title: "Topic filter", value: each => each.topic_filter },
    { title: "QoS", value: each => each.qos },
    { title: "Shared as", value: each => each.share_name },
    { title: "Not its own", value: each => each.no_local },
    { title: "Retain as published", value: each => each.retain_as_published },
    { title: "Retained are sent", value: each => RETAIN[each.retain_handling] },
    { title: "Identifier", value: each => each.identifier },
  ], found, { key: each => each.topic_filter, nothing: "It subscribes to nothing." })
}

export const subscriptions = {
  title: "Subscriptions",
  group: "MQTT",
  load: ({ query, scoped }) => (query.as === "tree" ? get(`${scoped("hubbub/mqtt/subscriptions")}?page=1&page_size=${TREE_MAX}&sort=topic_filter`)
    : listed(scoped("hubbub/mqtt/subscriptions"), query, "topic_filter")),
  show: here => {
    const tree = here.query.as === "tree"
    return [heading("MQTT subscriptions", button(tree ? "As a list" : "As a tree", () => here.go(tree ? {} : { as: "tree" }))),
      section("All subscriptions", null, tree ? grown(here.data) : listing("subscriptions", [
        { title: "Topic filter", sort: "topic_filter", value: each => leveled(each.topic_filter) },
        { title: "Client id", sort: "client_id", value: client },
        { title: "Vhost", sort: "vhost", value: each => each.vhost },
        { title: "QoS", sort: "qos", value: each => each.qos },
        { title: "Shared as", sort: "share_name", value: each => each.share_name },
        { title: "Identifier", value: each => each.identifier },
      ], here.data, { ...here, sort: "topic_filter", key: each => `${each.vhost} ${each.client_id} ${each.topic_filter}`,
        nothing: "Nobody subscribes to a topic.", hint: WHERE }))]
  },
}

const TREE_MAX = 500
const WHERE = "Every SUBSCRIBE of every session is listed here, those of clients that are away as well."
const client = each => link(`#session/${place(each.vhost, each.client_id)}`, each.client_id)

// The filters as a tree of their levels; a level with one way on is joined with it.
function grown(data) {
  const root = { levels: new Map(), held: [] }
  for (const each of data.items) {
    let at = root
    for (const level of each.topic_filter.split("/")) {
      if (!at.levels.has(level)) at.levels.set(level, { levels: new Map(), held: [] })
      at = at.levels.get(level)
    }
    at.held.push(each)
  }
  if (!data.items.length) return empty("Nobody subscribes to a topic.", WHERE)
  const left = data.total_count - data.items.length
  return [element("ul", { class: "tree" }, [...root.levels].map(([level, inner]) => branch(level, inner))),
    left > 0 && element("p", { class: "hint" }, `${text(left)} more are not shown: the tree holds ${TREE_MAX}. The list has them all.`)]
}

function branch(name, node) {
  while (!node.held.length && node.levels.size === 1) {
    const [[level, inner]] = node.levels
    name = `${name}/${level}`
    node = inner
  }
  const who = node.held.map(each => [" ", client(each), " ", pill(`QoS ${each.qos}`)])
  if (!node.levels.size) return element("li", {}, leveled(name), who)
  return element("li", {}, element("details", { open: true }, element("summary", {}, leveled(`${name}/`)),
    element("ul", {}, node.held.length > 0 && element("li", {}, element("em", {}, "itself"), who), [...node.levels].map(([level, inner]) => branch(level, inner)))))
}

// A filter with its wildcards in another colour.
function leveled(filter) {
  return element("code", {}, filter.split("/").map((level, at) => [at > 0 && "/", level === "+" || level === "#" ? element("b", { class: "wildcard" }, level) : level]))
}

export const retained = {
  title: "Retained messages",
  group: "MQTT",
  load: ({ query, scoped }) => get(`${scoped("hubbub/mqtt/retained")}?${new URLSearchParams({ filter: query.filter || "#", page: query.page ?? 1, page_size: 50 })}`),
  show: here => {
    const { data, query, go } = here
    return [heading("Retained messages"), section("The last message of each topic", null,
      element("form", { class: "search", role: "search", "aria-label": "Find topics", onsubmit: event => {
        event.preventDefault()
        go({ filter: event.currentTarget.elements.filter.value })
      } }, element("input", { type: "search", name: "filter", value: query.filter, placeholder: "Topic filter, such as home/+/temperature or $SYS/#", "aria-label": "Topic filter",
        "data-find": true, spellcheck: "false" }), element("button", {}, "Find")),
      table(`${text(data.filtered_count)} of ${text(data.total_count)} topics`, [
        { title: "Topic", value: each => button(each.topic, () => look(each, here), "link") },
        { title: "Vhost", value: each => each.vhost },
        { title: "Payload", value: each => element("code", {}, each.payload.length > 80 ? `${each.payload.slice(0, 80)}…` : each.payload) },
        { title: "Size", number: true, value: each => bytes(each.payload_bytes) },
        { title: "QoS", value: each => each.qos },
        { title: "Expires in", value: each => duration(each.expires_in_s) },
        { title: "Actions", act: true, value: each => button("Clear", () => clear(each, here.act), "danger", `Clear ${each.topic}`) },
      ], data.items, { key: each => `${each.vhost} ${each.topic}`, nothing: query.filter ? `Nothing is retained under “${query.filter}”.` : "Nothing is retained.",
        hint: "A message that is published with RETAIN is kept, and given to who subscribes later." }),
      data.page_count > 1 && element("p", { class: "pages" },
        button("← Previous", () => go({ ...query, page: data.page - 1 }), data.page > 1 ? "" : "unseen"), `page ${data.page} of ${data.page_count}`,
        button("Next →", () => go({ ...query, page: data.page + 1 }), data.page < data.page_count ? "" : "unseen")))]
  },
}

const topic = each => `hubbub/mqtt/retained/${place(each.vhost, each.topic)}`
const clear = (each, act) => sure(`Clear what ${each.topic} retains?`, "Clear", () => act(() => remove(topic(each)), `${each.topic} retains nothing any more`))

async function look(each, { act }) {
  const found = await act(() => get(topic(each)), "")
  if (!found) return
  const { headers, ...properties } = found.properties
  dialog(each.topic, facts({ Vhost: each.vhost, QoS: found.qos, Size: bytes(found.payload_bytes), "Expires in": duration(found.expires_in_s),
    ...Object.fromEntries(Object.entries({ ...properties, ...headers }).map(([name, value]) => [name, text(value)])) }),
  element("pre", { tabindex: 0 }, found.payload))
}
