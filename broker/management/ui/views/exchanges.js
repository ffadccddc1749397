// The exchanges, and one exchange: its rates, what it is bound to, and publishing to it.
import { get, place, post, put, remove } from "../api.js"
import { chart, ranges } from "../charts.js"
import { element, rate } from "../dom.js"
import { listed, listing } from "../listing.js"
import { pairs } from "../pairs.js"
import { history, lines } from "../samples.js"
import { BINDING_ARGUMENTS, EXCHANGE_ARGUMENTS } from "../words.js"
import { publishing } from "./messages.js"
import { back, button, facts, figures, formDialog, heading, link, pill, section, sure, table } from "../widgets.js"

const nameless = name => name || "(nameless)"
const where = (vhost, name) => `exchanges/${place(vhost, name || "amq.default")}`
const ours = each => !each.name || each.name.startsWith("amq.")

function declare({ attempt, scope, summary }) {
  const given = pairs("Arguments", EXCHANGE_ARGUMENTS)
  formDialog("New exchange", [
    { name: "name", label: "Name", required: true, wide: true },
    { name: "vhost", label: "Vhost", value: scope || "/", required: true },
    { name: "type", label: "Type", options: summary.exchange_types.map(each => each.name) },
    { name: "durable", label: "Durable: it is there after a restart", type: "checkbox", value: true },
    { name: "auto_delete", label: "Auto-delete: it goes with its last binding", type: "checkbox" },
    { name: "internal", label: "Internal: only exchanges publish to it", type: "checkbox" },
    { made: given },
  ], "Declare", ({ vhost, name, args, ...rest }) => attempt(() => put(where(vhost, name), { ...rest, arguments: given.read() }),
    `Exchange ${name} is declared`))
}

const del = (each, act, then) => sure(`Delete ${each.name} with its bindings?`, "Delete exchange",
  () => act(async () => { await remove(where(each.vhost, each.name)); then?.() }, `Deleted ${each.name}`))

export const exchanges = {
  title: "Exchanges",
  group: "Broker",
  load: ({ query, scoped }) => listed(scoped("exchanges"), query, "name"),
  show: here => [
    heading("Exchanges", button("New exchange", () => declare(here), "primary", "", here.scope ? here.may("configure", here.scope) : undefined)),
    section("All exchanges", link("#graph", "Drawn as a graph"), listing("exchanges", [
      { title: "Name", sort: "name", value: each => link(`#exchange/${place(each.vhost, each.name)}`, nameless(each.name)) },
      { title: "Vhost", sort: "vhost", value: each => each.vhost },
      { title: "Type", sort: "type", value: each => each.type },
      { title: "Features", value: marks },
      { title: "In /s", sort: "message_stats.publish_in_details.rate", value: each => rate(each.message_stats, "publish_in") },
      { title: "Out /s", sort: "message_stats.publish_out_details.rate", value: each => rate(each.message_stats, "publish_out") },
      { title: "Unroutable", value: each => each.hubbub.counts.unroutable ?? 0 },
      { title: "Actions", act: true, value: each => (ours(each) ? "" : button("Delete", () => del(each, here.act), "danger", `Delete ${each.name}`, here.may("configure", each.vhost, each.name))) },
    ], here.data, { ...here, sort: "name", key: each => `${each.vhost} ${each.name}` })),
  ],
}

function marks(each) {
  const found = [[each.durable, "durable"], [each.auto_delete, "auto-delete"], [each.internal, "internal"], [each.policy, `policy ${each.policy}`]]
  return element("span", {}, found.filter(([is]) => is).map(([, word]) => [pill(word), " "]))
}

export const exchange = {
  title: "Exchange",
  parent: "exchanges",
  load: async ({ parameters: [vhost, name] }) => {
    const path = where(vhost, name)
    const [found, from, to, past] = await Promise.all([get(path), get(`${path}/bindings/source`), get(`${path}/bindings/destination`), history(path)])
    return { found, from, to, past }
  },
  show: here => {
    const { found, from, to, past } = here.data
    const counts = found.hubbub.counts
    return [
      back("#exchanges", "Exchanges"),
      heading(nameless(found.name), [ranges(here, "They begin when somebody first looks at this exchange"), !ours(found) && button("Delete", () => del(found, here.act, () => here.leave("#exchanges")),
        "danger", "", here.may("configure", found.vhost, found.name))],
        pill(found.type), marks(found)),
      figures({ Published: counts.published ?? 0, Routed: counts.routed ?? 0, Unroutable: counts.unroutable ?? 0, Returned: counts.returned ?? 0,
        Bindings: from.length }),
      element("div", { class: "charts" }, chart("Messages per second", lines(past, { in: "published", out: "routed", unroutable: "unroutable" }))),
      section("Where it routes to", found.name && button("Bind", () => bind(found, here), "", "", here.may("read", found.vhost, found.name)), table("Bindings from this exchange", [
        { title: "To", value: each => [`${each.destination_type} `, target(each)] },
        { title: "Routing key", value: each => each.routing_key },
        { title: "Arguments", value: each => each.arguments },
        { title: "Actions", act: true, value: each => (each.source && ["queue", "exchange"].includes(each.destination_type) ? button("Unbind",
          () => sure(`Unbind ${each.destination}?`, "Unbind", () => here.act(() => remove(`${between(each)}/${place(each.properties_key)}`), "Unbound")), "",
          `Unbind ${each.destination}`) : "") },
      ], from.slice(0, 500), { key: each => `${each.destination_type} ${each.destination} ${each.properties_key}`,
        nothing: "It is bound to nothing.", hint: "What is published to it is unroutable until it is." }),
        from.length > 500 && element("p", { class: "hint" }, `${from.length - 500} more are not shown.`)),
      found.name && section("What it gets", button("Bind to another", () => bindTo(found, here), "", "", here.may("write", found.vhost, found.name)), table("Bindings to this exchange", [
        { title: "From", value: each => link(`#exchange/${place(each.vhost, each.source)}`, each.source) },
        { title: "Routing key", value: each => each.routing_key },
        { title: "Arguments", value: each => each.arguments },
        { title: "Actions", act: true, value: each => button("Unbind", () => sure(`Unbind from ${each.source}?`, "Unbind",
          () => here.act(() => remove(`${between(each)}/${place(each.properties_key)}`), "Unbound")), "", `Unbind from ${each.source}`) },
      ], to, { key: each => `${each.source} ${each.properties_key}`, nothing: "Only what is published to it." })),
      found.internal ? null : section("Publish to this exchange", null, publishing(found.vhost, found.name, null, here)),
      section("About it", null, facts({ Vhost: found.vhost, Type: found.type, Policy: found.policy ?? "none",
        ...Object.fromEntries(Object.entries(found.arguments).map(([name, value]) => [name, String(value)])) })),
    ]
  },
}

function target(each) {
  if (each.destination_type === "queue") return link(`#queue/${place(each.vhost, each.destination)}`, each.destination)
  if (each.destination_type === "exchange") return link(`#exchange/${place(each.vhost, each.destination)}`, each.destination)
  return each.destination
}

const between = each => `bindings/${place(each.vhost)}/e/${place(each.source)}/${each.destination_type === "queue" ? "q" : "e"}/${place(each.destination)}`

function bind(found, { attempt }) {
  const given = pairs("Arguments", BINDING_ARGUMENTS)
  formDialog(`Bind ${found.name}`, [
    { name: "destination_type", label: "To", options: ["queue", "exchange"] },
    { name: "destination", label: "Name", required: true },
    { name: "routing_key", label: "Routing key", wide: true },
    { made: given },
  ], "Bind", ({ args, routing_key, ...ends }) => attempt(() => post(between({ vhost: found.vhost, source: found.name, ...ends }),
    { routing_key, arguments: given.read() }), "Bound"))
}

function bindTo(found, { attempt }) {
  const given = pairs("Arguments", BINDING_ARGUMENTS)
  formDialog(`Bind ${found.name} to another`, [
    { name: "source", label: "From exchange", required: true },
    { name: "routing_key", label: "Routing key" },
    { made: given },
  ], "Bind", ({ source, routing_key }) => attempt(() => post(between({ vhost: found.vhost, source, destination_type: "exchange", destination: found.name }),
    { routing_key, arguments: given.read() }), "Bound"))
}
