// Line charts of what was seen since the page was opened, as SVG, without a library.
import { element, svg, text } from "./dom.js"

const SAMPLES = 200
const SPAN_MS_MIN = 60_000
const GAP_MS_MAX = 20_000
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

// The time that a chart shows grows with what was seen, from SPAN_MS_MIN on; the latest look is at the right.
const spanMs = seen => Math.max(SPAN_MS_MIN, seen.at(-1).at - seen[0].at)
const across = (seen, each) => WIDTH * (1 - (seen.at(-1).at - each.at) / spanMs(seen))

// A line for each run of looks; where nobody looked for a while there is none.
function line(seen, name, index, highest) {
  const down = value => HEIGHT - 1 - (HEIGHT - 8) * (value ?? 0) / (highest || 1)
  const runs = []
  seen.forEach((each, at) => {
    if (!at || each.at - seen[at - 1].at > GAP_MS_MAX) runs.push([])
    runs.at(-1).push([across(seen, each).toFixed(1), down(each.values[name]).toFixed(1)].join(" "))
  })
  const x = point => point.split(" ")[0]
  const areas = runs.map(run => `M${x(run[0])} ${HEIGHT}L${run.join("L")}L${x(run.at(-1))} ${HEIGHT}Z`)
  return [svg("path", { class: `area c${index}`, d: areas.join("") }), svg("path", { class: `line c${index}`, d: runs.map(run => `M${run.join("L")}`).join("") })]
}

function read(event, seen, write) {
  const place = event.currentTarget.getBoundingClientRect()
  const x = (event.clientX - place.left) / place.width * WIDTH
  const far = each => Math.abs(across(seen, each) - x)
  const found = seen.reduce((best, each) => (best && far(best) <= far(each) ? best : each), undefined)
  say(event, found ? `${new Date(found.at).toLocaleTimeString()}: `
    + Object.entries(found.values).map(([name, value]) => `${name} ${write(value)}`).join(", ") : "")
}

function say(event, said) {
  event.currentTarget.parentElement.querySelector(".reading").textContent = said
}
