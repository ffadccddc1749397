// Making elements, and words for what they show. Text is always text: nothing that a peer named is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg"

export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children)
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children)
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") listen(made, name.slice(2), value)
    else if (value === true) made.setAttribute(name, "")
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(name, value)
  }
  made.append(...children.flat(3).filter(child => child !== null && child !== undefined && child !== false && child !== ""))
  return made
}

// What an element does lies at the element, so that another drawing of it (morph.js) can say what it does from now on. So it finds
// itself by event.currentTarget: the element that was drawn with it may never have been shown.
function listen(made, kind, action) {
  made.actions ??= {}
  if (!(kind in made.actions)) made.addEventListener(kind, event => made.actions[kind](event))
  made.actions[kind] = action
}

// ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

export function text(value) {
  if (value === undefined || value === null) return ""
  if (typeof value === "number") return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 100 ? 2 : 0 })
  if (typeof value === "boolean") return value ? "yes" : "no"
  if (typeof value === "object") return Object.keys(value).length ? JSON.stringify(value) : ""
  return String(value)
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"]

export function bytes(count) {
  if (count === undefined || count === null) return ""
  let size = count
  let unit = 0
  while (size >= 999.5 && unit < UNITS.length - 1) { size /= 1000; unit += 1 }
  return `${unit && size < 99.95 ? size.toFixed(1) : Math.round(size)} ${UNITS[unit]}`
}

export function duration(seconds) {
  if (seconds === undefined || seconds === null) return ""
  const s = Math.floor(seconds)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`
}

export const moment = ms => (ms ? new Date(ms).toLocaleString() : "")
export const plural = (count, one, many = `${one}s`) => `${text(count)} ${count === 1 ? one : many}`
export const words = name => name.replaceAll("_", " ")
export const rate = (stats, name) => stats?.[`${name}_details`]?.rate ?? 0
