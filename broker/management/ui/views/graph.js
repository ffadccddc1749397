// Exchanges and what they are bound to, drawn: sources to the left of destinations, bindings as lines between them.
import { get, place } from "../api.js"
import { element, plural, svg } from "../dom.js"
import { empty, heading, link, section, table } from "../widgets.js"

const PAGES = { exchange: "exchange", queue: "queue", subscriber: "session" }
const ASKED_MAX = 500
const SEARCHED_MAX = 20_000
const NODES_MAX = 60
const LABELLED_MAX = 30
const COLUMNS_MAX = 6
const BOX = { width: 190, height: 34, across: 330, down: 42, point: 11 }

export const graph = {
  title: "Graph",
  group: "Broker",
  every: 10_000,
  load: async ({ scoped, query }) => {
    const first = path => get(`${scoped(path)}?page=1&page_size=${ASKED_MAX}`)
    // Backwards, so that what everything has with the nameless exchange comes last.
    const [exchanges, found] = await Promise.all([first("exchanges"), get(`${scoped("bindings")}?page=1&page_size=${ASKED_MAX}&sort=source&sort_reverse=true`)])
    const isAll = found.items.length === found.total_count || !found.items.at(-1).source
    const searched = !isAll && query.name && found.total_count <= SEARCHED_MAX
    const bindings = searched ? await get(scoped("bindings")) : found.items
    return { types: new Map(exchanges.items.map(each => [`${each.vhost} exchange ${each.name}`, each.type])),
      bindings: bindings.filter(each => each.source), isAll: isAll || searched }
  },
  show: ({ data: { types, bindings, isAll }, query, go }) => {
    const wanted = query.name ?? ""
    const found = bindings.filter(each => !wanted || each.source.includes(wanted) || each.destination.includes(wanted))
    const { nodes, edges, left } = bounded(found, types)
    return [
      heading("Graph"),
      section("Exchanges and bindings", link("#exchanges", "As a list"),
        element("form", { class: "search", role: "search", onsubmit: event => event.preventDefault() },
          element("input", { type: "search", name: "name", value: wanted, "data-find": true, placeholder: "Only those whose name holds…",
            "aria-label": "Only those whose name holds", oninput: event => go({ name: event.currentTarget.value }) })),
        edges.length ? element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Graph" }, drawn(nodes, edges))
          : empty(wanted ? `Nothing matches “${wanted}”.` : "No exchange is bound to anything.", "Bindings between exchanges and queues, and MQTT subscriptions, are drawn here."),
        !isAll && element("p", { class: "hint" }, `There are more bindings than the ${ASKED_MAX} that are looked at. Choose a vhost, or look at one exchange.`),
        left > 0 && element("p", { class: "hint" }, `${plural(left, "binding")} more: only ${NODES_MAX} exchanges and queues are drawn at a time. Find the ones you mean by name, or choose a vhost.`),
        edges.length > 0 && element("details", {}, element("summary", {}, "The same as a table"), table(plural(edges.length, "line"), [
          { title: "From", value: each => each.from.name },
          { title: "To", value: each => `${each.to.kind} ${each.to.name}` },
          { title: "Routing keys", value: each => each.keys.join(", ") },
        ], edges)),
      ),
    ]
  },
}

// The first bindings whose ends are at most NODES_MAX; bindings between the same two are one line.
function bounded(bindings, types) {
  const nodes = new Map()
  const edges = new Map()
  let left = 0
  const node = (vhost, kind, name) => {
    const key = `${vhost} ${kind} ${name}`
    return nodes.get(key) ?? { key, vhost, kind, name, type: kind === "exchange" ? types.get(key) ?? kind : kind }
  }
  for (const each of bindings) {
    const from = node(each.vhost, "exchange", each.source)
    const to = node(each.vhost, each.destination_type, each.destination)
    const added = new Set([from, to].filter(end => !nodes.has(end.key)).map(end => end.key)).size
    if (nodes.size + added > NODES_MAX) { left += 1; continue }
    nodes.set(from.key, from).set(to.key, to)
    const key = `${from.key} → ${to.key}`
    const edge = edges.get(key) ?? { from, to, keys: [] }
    edge.keys.push(each.routing_key || (Object.keys(each.arguments).length ? JSON.stringify(each.arguments) : "(empty)"))
    edges.set(key, edge)
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()], left }
}

// Columns by the longest way from a source (cycles end it), queues last. A line over several columns goes through points of
// its own in them, so that it crosses no box. In a column each thing stands beside what it is bound to.
function laid(nodes, edges) {
  for (const each of nodes) each.column = 0
  for (let round = 0; round < COLUMNS_MAX; round += 1) {
    for (const { from, to } of edges) if (to.column <= from.column && from.column + 1 < COLUMNS_MAX) to.column = from.column + 1
  }
  const last = Math.max(...nodes.map(each => each.column))
  for (const each of nodes) if (each.kind !== "exchange") each.column = last
  const placed = [...nodes]
  const steps = []
  for (const edge of edges) {
    edge.way = [edge.from]
    for (let column = edge.from.column + 1; column < edge.to.column; column += 1) {
      const point = { column, isPoint: true, key: `${edge.from.key} ${edge.to.key}` }
      edge.way.push(point)
      placed.push(point)
    }
    edge.way.push(edge.to)
    edge.way.slice(1).forEach((to, at) => steps.push({ from: edge.way[at], to }))
  }
  const columns = Array.from({ length: last + 1 }, (_, at) => placed.filter(each => each.column === at))
  for (const column of columns) stacked(column.sort((a, b) => a.key.localeCompare(b.key)))
  for (let round = 0; round < 8; round += 1) for (const column of round % 2 ? columns : columns.toReversed()) arranged(column, steps)
  const height = Math.max(...columns.map(column => Math.max(...column.map(each => each.y + size(each)))))
  for (const column of columns) {
    const free = (height - Math.max(...column.map(each => each.y + size(each)))) / 2
    for (const each of column) each.y += free
  }
  return { height, columns: columns.length }
}

const size = each => (each.isPoint ? BOX.point : BOX.down)
const middle = each => each.y + (each.isPoint ? BOX.point : BOX.height) / 2

function stacked(column) {
  let y = 0
  for (const each of column) {
    each.y = y
    y += size(each)
  }
}

function arranged(column, steps) {
  const wanted = new Map(column.map(each => {
    const beside = steps.filter(({ from, to }) => from === each || to === each).map(({ from, to }) => middle(from === each ? to : from))
    return [each, beside.length ? beside.reduce((sum, y) => sum + y, 0) / beside.length : middle(each)]
  }))
  stacked(column.sort((a, b) => wanted.get(a) - wanted.get(b)))
}

const short = (name, most) => (name.length > most ? `${name.slice(0, most - 1)}…` : name)

// The lines of the box under the pointer, or in focus, stand out.
function lit(graph, key, isOn) {
  graph.classList.toggle("dimmed", isOn)
  for (const each of graph.querySelectorAll(".line")) each.classList.toggle("lit", isOn && (each.dataset.from === key || each.dataset.to === key))
}

function drawn(nodes, edges) {
  const { height: most, columns } = laid(nodes, edges)
  const left = each => 10 + each.column * BOX.across
  const top = each => 10 + each.y
  const labelled = edges.length <= LABELLED_MAX
  const lines = edges.map(({ from, to, keys, way }) => {
    const ends = way.slice(1).map((next, at) => {
      const [x1, x2] = [left(way[at]) + (way[at].isPoint ? BOX.width / 2 : BOX.width), left(next) + (next.isPoint ? BOX.width / 2 : -3)]
      const [y1, y2] = [10 + middle(way[at]), 10 + middle(next)]
      const bend = Math.max(50, Math.abs(x2 - x1) / 2)
      return { x1, y1, x2, y2, path: `C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` }
    })
    const [first, end] = [ends[0], ends.at(-1)]
    return svg("g", { class: "line", "data-from": from.key, "data-to": to.key }, svg("path", { class: "edge", "marker-end": "url(#arrow)", d: `M${first.x1} ${first.y1} ${ends.map(each => each.path).join(" ")}` },
      svg("title", {}, `${from.name} → ${to.name}: ${keys.join(", ")}`)),
      labelled && svg("text", { class: "on-edge", x: end.x1 + (end.x2 - end.x1) * .62, y: end.y1 + (end.y2 - end.y1) * .72 + 3 },
        short(keys[0], 18) + (keys.length > 1 ? ` +${keys.length - 1}` : "")))
  })
  const boxes = nodes.map(each => {
    const inside = [svg("title", {}, `${each.kind} ${each.name} in ${each.vhost}`),
      svg("rect", { x: left(each), y: top(each), width: BOX.width, height: BOX.height, rx: each.kind === "exchange" ? 8 : 3 }),
      svg("text", { x: left(each) + 10, y: top(each) + 15 }, short(each.name, 26)),
      svg("text", { class: "kind", x: left(each) + 10, y: top(each) + 28 }, `${each.type}${each.vhost === "/" ? "" : ` · ${short(each.vhost, 14)}`}`)]
    const light = isOn => event => lit(event.currentTarget.closest("svg"), each.key, isOn)
    const watched = { class: each.kind, onpointerenter: light(true), onpointerleave: light(false), onfocus: light(true), onblur: light(false) }
    return PAGES[each.kind] ? svg("a", { ...watched, href: `#${PAGES[each.kind]}/${place(each.vhost, each.name)}` }, inside) : svg("g", watched, inside)
  })
  const width = columns * BOX.across - (BOX.across - BOX.width) + 20
  const height = most + 10
  return svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height,
    "aria-label": `${plural(edges.length, "line")} between ${plural(nodes.length, "exchange and queue", "exchanges and queues")}; the table below says the same` },
    svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
      svg("path", { d: "M0 0 8 4 0 8Z", fill: "context-stroke" }))), lines, boxes)
}
