// Line charts as SVG, without a library: read with the pointer, with the arrow keys, or as a table.
import { element, svg, text } from "./dom.js"
import { RANGES, range, setRange } from "./samples.js"
import { button, dialog, table } from "./widgets.js"

const WIDTH = 400
const HEIGHT = 100
const GAP = 3.5
/* Looks that are missing before a line is interrupted. */
const DAY_S = 86_400

// Chooses how far back the charts of a page show.
export function ranges({ refresh }, about = "") {
  return element("label", { class: "range", title: about || undefined }, "Charts show", element("select", { name: "range", onchange: event => { setRange(event.currentTarget.value); refresh() } },
    RANGES.map(([age, words]) => element("option", { value: age, selected: age === range() }, words))))
}

// `data`: see samples.js. `write` makes a figure readable: 1024 → "1.0 kB". `about`: a sentence for who points at the title.
export function chart(title, data, write = text, about = "") {
  const names = Object.keys(data.lines)
  const highest = Math.max(0, ...names.flatMap(name => data.lines[name]).filter(Number.isFinite))
  const top = ceiling(highest)
  const last = Object.fromEntries(names.map(name => [name, data.lines[name].findLast(Number.isFinite)]))
  const frame = { ...data, names, top, write, ends: data.at.at(-1) ?? Date.now() }
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", tabindex: 0,
    "aria-label": `${title}: ${names.map(name => `${name} ${told(last[name], write)}`).join(", ") || "nothing yet"}. Arrow keys read it.`,
    onpointermove: event => point(event, frame), onpointerleave: event => read(event, frame, null),
    onkeydown: event => step(event, frame), onblur: event => read(event, frame, null) },
  [0, .5].map(part => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * part + .5, y2: HEIGHT * part + .5 })),
  svg("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - .5, y2: HEIGHT - .5 }),
  names.map((name, index) => line(frame, name, index)))
  return element("figure", { class: "chart" },
    element("figcaption", {}, element("strong", { title: about }, title), button("Table", () => listed(title, frame), "link", `${title} as a table`)),
    element("div", { class: "plot" },
      element("div", { class: "axis", "aria-hidden": "true" }, element("span", {}, told(top, write)), element("span", {}, told(top / 2, write) === told(top, write) ? "" : told(top / 2, write)), element("span", {}, told(0, write))),
      element("div", { class: "drawn" }, drawing, element("div", { class: "over", "data-own": true },
        element("div", { class: "cursor", hidden: true }), element("p", { class: "reading", "aria-hidden": "true" }), element("p", { class: "unseen", "aria-live": "polite" })))),
    element("p", { class: "times", "aria-hidden": "true" }, element("span", {}, clock(frame.ends - data.age * 1000, data.age)), element("span", {}, clock(frame.ends, data.age))),
    element("ul", { class: "legend" }, names.map((name, index) => element("li", {},
      element("span", { class: `dot c${index}`, "aria-hidden": "true" }), `${name} `, element("b", {}, told(last[name], write))))))
}

const told = (value, write) => (Number.isFinite(value) ? write(value) : "–")

// 1, 2 or 5 and zeros: the next above.
function ceiling(highest) {
  if (highest <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(highest))
  return [1, 2, 5, 10].find(each => each * power >= highest) * power
}

function clock(at, age) {
  const day = age >= DAY_S && { weekday: "short" }
  return new Date(at).toLocaleTimeString("en", { hour12: false, hour: "2-digit", minute: "2-digit", ...(age <= 600 && { second: "2-digit" }), ...day })
}

const across = (frame, at) => WIDTH * (1 - (frame.ends - at) / (frame.age * 1000))

// A line for each run of looks; where nobody looked for a while there is none.
function line(frame, name, index) {
  const down = value => HEIGHT - .8 - (HEIGHT - 3) * value / frame.top
  const runs = []
  let before = -Infinity
  frame.lines[name].forEach((value, each) => {
    if (!Number.isFinite(value)) return
    if (frame.at[each] - before > GAP * frame.every * 1000) runs.push([])
    before = frame.at[each]
    runs.at(-1).push([across(frame, frame.at[each]).toFixed(1), down(value).toFixed(1)].join(" "))
  })
  const x = spot => spot.split(" ")[0]
  const drawn = runs.map(run => (run.length > 1 ? run : [run[0], `${Number(x(run[0])) + 1} ${run[0].split(" ")[1]}`]))
  const areas = drawn.map(run => `M${x(run[0])} ${HEIGHT}L${run.join("L")}L${x(run.at(-1))} ${HEIGHT}Z`)
  return [svg("path", { class: `area c${index}`, d: areas.join("") }), svg("path", { class: `line c${index}`, d: drawn.map(run => `M${run.join("L")}`).join("") })]
}

// ── reading it ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function point(event, frame) {
  const place = event.currentTarget.getBoundingClientRect()
  const x = (event.clientX - place.left) / place.width * WIDTH
  const far = at => Math.abs(across(frame, at) - x)
  read(event, frame, frame.at.reduce((best, at, each) => (best === null || far(at) < far(frame.at[best]) ? each : best), null))
}

function step(event, frame) {
  const over = event.currentTarget.nextElementSibling
  const at = over.dataset.at ? frame.at.findIndex(each => each >= Number(over.dataset.at)) : frame.at.length
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: frame.at.length - 1, Escape: null }[event.key]
  if (next === undefined || !frame.at.length) return
  event.preventDefault()
  read(event, frame, next === null ? null : Math.min(Math.max(next, 0), frame.at.length - 1), true)
}

function values(frame, each) {
  return frame.names.map(name => `${name} ${told(frame.lines[name][each], frame.write)}`)
}

function read(event, frame, each, aloud = false) {
  const over = event.currentTarget.nextElementSibling
  const [cursor, reading, spoken] = over.children
  cursor.hidden = each === null
  delete over.dataset.at
  reading.textContent = ""
  spoken.textContent = ""
  if (each === null) return
  const x = across(frame, frame.at[each]) / WIDTH
  over.dataset.at = frame.at[each]
  cursor.style.left = `${x * 100}%`
  reading.classList.toggle("left", x > .5)
  reading.replaceChildren(element("strong", {}, clock(frame.at[each], 60)), ...values(frame, each).map(words => element("span", {}, words)))
  if (aloud) spoken.textContent = [clock(frame.at[each], 60), ...values(frame, each)].join(", ")
}

function listed(title, frame) {
  dialog(title, table(`${frame.at.length} looks, the latest first`, [
    { title: "Time", value: each => clock(frame.at[each], Math.min(frame.age, 60)) },
    ...frame.names.map(name => ({ title: name, number: true, value: each => told(frame.lines[name][each], frame.write) })),
  ], frame.at.map((_, each) => each).reverse(), { nothing: "Nothing yet." }))
}
