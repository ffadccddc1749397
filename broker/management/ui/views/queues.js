// The queues, and one queue: its charts, ledger, bindings and consumers, and what may be done with it.
import { get, place, post, put, remove } from "../api.js"
import { chart, ranges } from "../charts.js"
import { bytes, element, rate, text } from "../dom.js"
import { listed, listing } from "../listing.js"
import { pairs } from "../pairs.js"
import { history, lines } from "../samples.js"
import { BINDING_ARGUMENTS, QUEUE_ARGUMENTS } from "../words.js"
import { account, balance } from "./ledger.js"
import { messages, publishing } from "./messages.js"
import { back, button, facts, figures, formDialog, heading, link, pill, section, sure, table } from "../widgets.js"

const TYPES = ["classic", "quorum"]

function declare({ attempt, scope }) {
  const given = pairs("Arguments", QUEUE_ARGUMENTS)
  formDialog("New queue", [
    { name: "name", label: "Name", required: true, wide: true },
    { name: "vhost", label: "Vhost", value: scope || "/", required: true },
    { name: "type", label: "Type", options: TYPES },
    { name: "durable", label: "Durable: it is there after a restart", type: "checkbox", value: true },
    { name: "auto_delete", label: "Auto-delete: it goes with its last consumer", type: "checkbox" },
    { made: given },
  ], "Declare", ({ vhost, name, durable, auto_delete, type }) => attempt(() => put(`queues/${place(vhost, name)}`,
    { durable, auto_delete, arguments: { ...(type === "classic" ? {} : { "x-queue-type": type }), ...given.read() } }),
  `Queue ${name} is declared`))
}

export const queues = {
  title: "Queues",
  group: "Broker",
  load: ({ query, scoped }) => listed(scoped("queues"), query, "name"),
  show: here => [
    heading("Queues", button("New queue", () => declare(here), "primary", "", here.scope ? here.may("configure", here.scope) : undefined)),
    section("All queues", null, listing("queues", [
      { title: "Name", sort: "name", value: each => link(`#queue/${place(each.vhost, each.name)}`, each.name) },
      { title: "Vhost", sort: "vhost", value: each => each.vhost },
      { title: "Features", value: marks },
      { title: "Policy", sort: "policy", value: each => each.policy },
      { title: "Ready", sort: "messages_ready", value: each => each.messages_ready },
      { title: "Unacked", sort: "messages_unacknowledged", value: each => each.messages_unacknowledged },
      { title: "Bytes", sort: "message_bytes", number: true, value: each => bytes(each.message_bytes) },
      { title: "Consumers", sort: "consumers", value: each => each.consumers },
      { title: "In /s", sort: "message_stats.publish_details.rate", value: each => rate(each.message_stats, "publish") },
      { title: "Out /s", sort: "message_stats.deliver_get_details.rate", value: each => rate(each.message_stats, "deliver_get") },
    ], here.data, { ...here, sort: "name", key: each => `${each.vhost} ${each.name}`, nothing: "There are no queues.",
      hint: "Declare one here, or let a client do it. MQTT sessions have a queue as soon as they need one." })),
  ],
}

function marks(each) {
  const found = [[each.type !== "classic", each.type], [each.durable, "durable"], [each.auto_delete, "auto-delete"], [each.exclusive, "exclusive"]]
  return element("span", {}, found.filter(([is]) => is).map(([, word]) => [pill(word), " "]))
}

export const queue = {
  title: "Queue",
  parent: "queues",
  load: async ({ parameters: [vhost, name] }) => {
    const where = `queues/${place(vhost, name)}`
    const [found, bindings, past] = await Promise.all([get(where), get(`${where}/bindings`), history(where)])
    return { found, bindings, past, where }
  },
  show: here => {
    const { found, bindings, past, where } = here.data
    const { unaccounted } = found.hubbub.ledger
    const counts = { ...found.hubbub.ledger, ready: found.messages_ready, unacked: found.messages_unacknowledged }
    return [
      back("#queues", "Queues"),
      heading(found.name, [ranges(here, "They begin when somebody first looks at this queue"), ...doings(here)], marks(found)),
      figures({ Ready: found.messages_ready, Unacked: found.messages_unacknowledged, Consumers: found.consumers,
        "Published /s": rate(found.message_stats, "publish"), "Delivered /s": rate(found.message_stats, "deliver_get"),
        Bytes: bytes(found.message_bytes), Unaccounted: [unaccounted, unaccounted ? "bad" : "good"] }),
      element("div", { class: "charts" },
        chart("Messages", lines(past, { ready: "ready", unacked: "unacked" })),
        chart("Per second", lines(past, { published: "publish", delivered: "deliver_get", acknowledged: "ack", redelivered: "redeliver" })),
        chart("Size", lines(past, { messages: "bytes", "memory for them": "memory" }), bytes)),
      section("Messages", null, messages(found, where, here)),
      section("Publish to this queue", null, publishing(found.vhost, "", found.name, here)),
      element("div", { class: "columns" },
        section("Ledger", balance(counts), account("Every message of this queue, accounted for", counts)),
        section("About it", null, facts({ Vhost: found.vhost, Type: found.type, Policy: found.policy ?? "none",
          "Operator policy": found.operator_policy ?? "none", "Single active consumer": found.single_active_consumer_tag,
          "Exclusive consumer": found.exclusive_consumer_tag, "In memory": bytes(found.message_bytes_ram), "Bytes ready": bytes(found.message_bytes_ready),
          "Bytes unacked": bytes(found.message_bytes_unacknowledged),
          "Owned by": found.owner_pid_details?.name && link(`#connection/${place(found.owner_pid_details.name)}`, found.owner_pid_details.name),
          ...labelled(found.arguments), ...labelled(found.effective_policy_definition, " (policy)") }))),
      section("Consumers", null, consumers(found)),
      section("Bindings", button("Bind", () => bind(found, here), "", "", here.may("write", found.vhost, found.name)), bound(found, bindings, here)),
    ]
  },
}

const labelled = (values, after = "") => Object.fromEntries(Object.entries(values).map(([name, value]) => [name + after, text(value)]))

function doings({ data: { found, where }, act, attempt, leave, may }) {
  const [reads, configures] = ["read", "configure"].map(verb => may(verb, found.vhost, found.name))
  return [
    button("Move messages", () => formDialog(`Move messages of ${found.name}`, [
      { name: "destination", label: "To the queue", required: true, wide: true },
      { name: "count", label: "How many; none: all", type: "number" },
    ], "Move", ({ destination, count }) => attempt(() => post(`hubbub/${where}/move`, { destination, ...(count ? { count: Number(count) } : {}) }),
      moved => `Moved ${text(moved?.moved ?? 0)} to ${destination}`),
    "What is ready goes to another queue of this vhost, in order."), "", "", reads),
    button("Purge", () => sure(`Remove every ready message of ${found.name}?`, "Purge", () => act(() => remove(`${where}/contents`), `Purged ${found.name}`)), "danger", "", reads),
    button("Delete", () => formDialog(`Delete ${found.name}`, [
      { name: "unused", label: "Only if nobody consumes it", type: "checkbox" },
      { name: "empty", label: "Only if it is empty", type: "checkbox" },
    ], "Delete queue", ({ unused, empty }) => attempt(async () => { await remove(`${where}?if-unused=${unused}&if-empty=${empty}`); leave("#queues") }, `Deleted ${found.name}`),
    `It goes with all that is in it: ${text(found.messages)} messages.`), "danger", "", configures),
  ]
}

function consumers(found) {
  return table("Who takes messages", [
    { title: "Tag", value: each => each.consumer_tag },
    { title: "Connection", value: each => each.channel_details.connection_name
      ? link(`#connection/${place(each.channel_details.connection_name)}`, each.channel_details.name) : "an MQTT session, or within the broker" },
    { title: "Acknowledges", value: each => each.ack_required },
    { title: "Exclusive", value: each => each.exclusive },
    { title: "Active", value: each => each.active },
    { title: "Prefetch", value: each => each.prefetch_count },
  ], found.consumer_details, { nothing: "Nobody consumes it.", key: each => `${each.channel_details.name} ${each.consumer_tag}` })
}

function bound(found, bindings, { act, may }) {
  const path = each => `bindings/${place(found.vhost)}/e/${place(each.source)}/q/${place(found.name)}/${place(each.properties_key)}`
  return table("What comes here", [
    { title: "From exchange", value: each => each.source ? link(`#exchange/${place(each.vhost, each.source)}`, each.source) : "(nameless)" },
    { title: "Routing key", value: each => each.routing_key },
    { title: "Arguments", value: each => each.arguments },
    { title: "Actions", act: true, value: each => (each.source ? button("Unbind",
      () => sure(`Unbind ${found.name} from ${each.source}?`, "Unbind", () => act(() => remove(path(each)), "Unbound")), "", `Unbind from ${each.source}`, may("write", found.vhost, found.name)) : "") },
  ], bindings, { key: each => `${each.source} ${each.properties_key}` })
}

function bind(found, { attempt }) {
  const given = pairs("Arguments", BINDING_ARGUMENTS)
  formDialog(`Bind ${found.name}`, [
    { name: "source", label: "From exchange", required: true },
    { name: "routing_key", label: "Routing key" },
    { made: given },
  ], "Bind", ({ source, routing_key }) => attempt(() => post(`bindings/${place(found.vhost)}/e/${place(source)}/q/${place(found.name)}`,
    { routing_key, arguments: given.read() }), "Bound"))
}
