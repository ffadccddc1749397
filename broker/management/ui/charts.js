// Line charts of what was seen since the page was opened, as SVG, without a library.
import { element, svg, text } from "./dom.js"

const SAMPLES = 200
const WINDOW_MIN = 20
const WIDTH = 400
const HEIGHT = 100
const series = new Map()

// Remembers `values` ({name: number}) under `key`, with the time.
export function sample(key, values) {
  const seen = series.get(key) ?? []
  seen.push({ at: Date.now(), values })
  if (seen.length > SAMPLES) seen.shift()
  series.set(key, seen)
}

// What was counted since the look before, per `key`: {name: count} → {name: difference}; the first look has none.
const counted = new Map()
export function since(key, counts) {
  const before = counted.get(key)
  counted.set(key, counts)
  if (!before) return null
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, Math.max(0, count - (before[name] ?? 0))]))
}

// `write` makes a figure of the chart readable: 1024 → "1.0 kB".
export function chart(title, key, write = text) {
  const seen = series.get(key) ?? []
  const names = seen.length ? Object.keys(seen.at(-1).values) : []
  const highest = Math.max(0, ...seen.flatMap(each => Object.values(each.values)))
  const last = seen.at(-1)?.values ?? {}
  const span = seen.length > 1 ? Math.round((seen.at(-1).at - seen[0].at) / 1000) : 0
  const reading = element("p", { class: "reading", "aria-hidden": "true", "data-own": true })
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${title}: ` + (names.map(name => `${name} ${write(last[name])}`).join(", ") || "nothing yet"),
    onpointermove: event => read(event, seen, write), onpointerleave: event => say(event, "") },
    [.25, .5, .75].map(part => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * part, y2: HEIGHT * part })),
    svg("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - .5, y2: HEIGHT - .5 }),
    names.map((name, index) => line(seen, name, index, highest)))
  return element("figure", { class: "chart" },
    element("figcaption", {}, element("strong", {}, title), element("span", { class: "highest" }, `highest ${write(highest)}`)),
    drawing, reading,
    element("ul", { class: "legend" }, names.map((name, index) => element("li", {},
      element("span", { class: `dot c${index}`, "aria-hidden": "true" }), `${name} `, element("b", {}, write(last[name]))))),
    element("p", { class: "span" }, span ? `the last ${span < 120 ? `${span} s` : `${Math.round(span / 60)} min`}` : "since now"))
}

// The time that a chart shows grows with what was seen, from WINDOW_MIN samples to all of them; now is at the right.
const room = seen => Math.max(WINDOW_MIN, seen.length)
const across = (seen, at) => WIDTH * (room(seen) - seen.length + at) / (room(seen) - 1)

function line(seen, name, index, highest) {
  const down = value => HEIGHT - 1 - (HEIGHT - 8) * (value ?? 0) / (highest || 1)
  const points = seen.map((each, at) => `${across(seen, at).toFixed(1)},${down(each.values[name]).toFixed(1)}`)
  const area = [`${across(seen, 0).toFixed(1)},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(" ")
  return [svg("polygon", { class: `area c${index}`, points: area }), svg("polyline", { class: `line c${index}`, points: points.join(" ") })]
}

function read(event, seen, write) {
  const place = event.currentTarget.getBoundingClientRect()
  const at = Math.round((event.clientX - place.left) / place.width * (room(seen) - 1)) - (room(seen) - seen.length)
  const found = seen[at]
  say(event, found ? `${new Date(found.at).toLocaleTimeString()}: `
    + Object.entries(found.values).map(([name, value]) => `${name} ${write(value)}`).join(", ") : "")
}

function say(event, said) {
  event.currentTarget.parentElement.querySelector(".reading").textContent = said
}
