// Exchanges, and their bindings drawn as a graph: sources on the left, destinations on the right.
import { get, place, post, put, remove } from "../api.js"
import { svgElement } from "../charts.js"
import { button, element, form, table } from "../dom.js"

const TYPES = ["direct", "fanout", "topic", "headers", "x-consistent-hash"]
const DRAWN_MAX = 60
const ROW = 26

export const exchanges = {
  title: "Exchanges",
  load: async () => {
    const [found, bindings] = await Promise.all([get("exchanges"), get("bindings")])
    return { found, bindings: bindings.filter(each => each.source) }
  },
  show: ({ data: { found, bindings }, act }) => element("div", {},
    element("h2", {}, "Exchanges"),
    table(`${found.length} exchanges`, [
      { title: "Vhost", value: each => each.vhost },
      { title: "Name", value: each => each.name || "(nameless)" },
      { title: "Type", value: each => each.type },
      { title: "Durable", value: each => each.durable },
      { title: "In, /s", value: each => each.message_stats.publish_in_details.rate },
      { title: "Out, /s", value: each => each.message_stats.publish_out_details.rate },
      { title: "Unroutable", value: each => each.hubbub.counts.unroutable },
      { title: "", value: each => each.name && !each.name.startsWith("amq.") ? button("Delete",
        () => act(() => remove(`exchanges/${place(each.vhost, each.name)}`), `Deleted ${each.name}`), `Delete ${each.name}?`) : "" },
    ], found),
    element("h2", {}, "Bindings"),
    graph(bindings),
    table(`${bindings.length} bindings`, [
      { title: "Vhost", value: each => each.vhost },
      { title: "From", value: each => each.source },
      { title: "To", value: each => `${each.destination_type} ${each.destination}` },
      { title: "Routing key", value: each => each.routing_key },
      { title: "Arguments", value: each => each.arguments },
      { title: "", value: each => ["queue", "exchange"].includes(each.destination_type) ? button("Unbind",
        () => act(() => remove(path(each) + "/" + place(each.properties_key)), "Unbound")) : "" },
    ], bindings),
    element("details", { id: "declare-exchange" }, element("summary", {}, "Declare an exchange"),
      form("Declare an exchange", [
        { name: "vhost", label: "Vhost", value: "/", required: true },
        { name: "name", label: "Name", required: true },
        { name: "type", label: "Type", options: TYPES },
        { name: "durable", label: "durable", type: "checkbox", value: true },
      ], "Declare", ({ vhost, name, type, durable }) =>
        act(() => put(`exchanges/${place(vhost, name)}`, { type, durable }), `Exchange ${name} is declared`))),
    element("details", { id: "bind" }, element("summary", {}, "Bind"),
      form("Bind", [
        { name: "vhost", label: "Vhost", value: "/", required: true },
        { name: "source", label: "From exchange", required: true },
        { name: "destination_type", label: "To", options: ["queue", "exchange"] },
        { name: "destination", label: "Name", required: true },
        { name: "routing_key", label: "Routing key" },
      ], "Bind", values => act(() => post(path(values), { routing_key: values.routing_key }), "Bound")))),
}

const path = each =>
  `bindings/${place(each.vhost)}/e/${place(each.source)}/${each.destination_type === "queue" ? "q" : "e"}/${place(each.destination)}`

function graph(bindings) {
  const drawn = bindings.slice(0, DRAWN_MAX)
  if (!drawn.length) return ""
  const left = [...new Set(drawn.map(each => `${each.vhost} ${each.source}`))]
  const right = [...new Set(drawn.map(each => `${each.vhost} ${each.destination_type} ${each.destination}`))]
  const height = ROW * Math.max(left.length, right.length) + 10
  const svg = svgElement("svg", { class: "graph", viewBox: `0 0 700 ${height}`, role: "img",
    "aria-label": `${drawn.length} bindings from ${left.length} exchanges to ${right.length} destinations; the table below lists them` })
  const y = index => ROW * index + ROW / 2 + 5
  for (const each of drawn) {
    const from = y(left.indexOf(`${each.vhost} ${each.source}`))
    const to = y(right.indexOf(`${each.vhost} ${each.destination_type} ${each.destination}`))
    svg.append(svgElement("path", { d: `M 230 ${from} C 350 ${from}, 350 ${to}, 470 ${to}` }))
  }
  left.forEach((name, index) => svg.append(svgElement("text", { x: 222, y: y(index) + 4, "text-anchor": "end" }, name)))
  right.forEach((name, index) => svg.append(svgElement("text", { x: 478, y: y(index) + 4 }, name)))
  const more = bindings.length - drawn.length
  return element("div", { class: "scroll" }, svg, more ? element("p", {}, `${more} more are not drawn`) : "")
}
