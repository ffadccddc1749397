// Line charts of what was seen since the page was opened, as SVG, without a library.
import { element, text } from "./dom.js"

const SAMPLES = 180
const WIDTH = 360
const HEIGHT = 100
const COLOURS = ["#1f77d0", "#d9730d", "#3a9d3a", "#a855c7"]
const series = new Map()

// Remembers `values` ({name: number}) under `key`, with the time.
export function sample(key, values) {
  const seen = series.get(key) ?? []
  seen.push({ at: Date.now(), values })
  if (seen.length > SAMPLES) seen.shift()
  series.set(key, seen)
}

export function chart(title, key, unit = "") {
  const seen = series.get(key) ?? []
  const names = seen.length ? Object.keys(seen.at(-1).values) : []
  const top = Math.max(1, ...seen.flatMap(each => Object.values(each.values)))
  const last = seen.at(-1)?.values ?? {}
  const svg = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${title}: ` + names.map(name => `${name} ${text(last[name])}${unit}`).join(", ") })
  svg.append(svgElement("line", { x1: 0, x2: WIDTH, y1: HEIGHT - .5, y2: HEIGHT - .5, stroke: "currentColor", opacity: .3 }))
  names.forEach((name, index) => {
    const points = seen.map((each, at) =>
      `${WIDTH * (at + SAMPLES - seen.length) / (SAMPLES - 1)},${HEIGHT - 2 - (HEIGHT - 6) * (each.values[name] ?? 0) / top}`)
    svg.append(svgElement("polyline", { points: points.join(" "), fill: "none", stroke: COLOURS[index % COLOURS.length],
      "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }))
  })
  const legend = names.map((name, index) => element("span", {},
    element("span", { style: `color: ${COLOURS[index % COLOURS.length]}`, "aria-hidden": "true" }, "● "),
    `${name} ${text(last[name])}${unit}`))
  return element("figure", {}, element("figcaption", {}, element("strong", {}, title), legend), svg,
    element("figcaption", {}, `highest: ${text(top)}${unit}`))
}

export function svgElement(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}
