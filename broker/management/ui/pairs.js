// Names and values to be filled in: arguments, definitions, properties. What is known is offered with what it means; what is not can be typed.
//
// known: { name: [kind, about] }; kind: "number", "text", "boolean", "json", or a list of the values that there are.
import { Refused, object } from "./api.js"
import { element } from "./dom.js"
import { button } from "./widgets.js"

const KINDS = { text: "Text", number: "Number", boolean: "Yes or no", json: "JSON" }
let numbered = 0

// Two fields of a form: rows of known names, and JSON for whoever has it. `read(typed)` of the element is the object; it throws Refused.
export function pairs(label, known, values = {}, json = "args") {
  const rows = element("div", { class: "rows" })
  const add = (name, value) => { rows.append(row(name, known[name] ?? ["text", ""], value)); return rows.lastElementChild }
  const offered = Object.entries(known).map(([name, [, about]]) => button(`+ ${name}`, () => {
    const there = [...rows.children].find(each => each.querySelector("[data-name]").value === name)
    ;(there ?? add(name)).querySelector("[data-value]").focus()
  }, "offer", `Add ${name}: ${about}`))
  offered.forEach((each, at) => each.setAttribute("title", Object.values(known)[at][1]))
  for (const [name, value] of Object.entries(values)) add(name, value)
  const typed = element("textarea", { name: json, rows: 2, spellcheck: "false" })
  const made = element("div", { class: "pairs" }, element("p", { class: "label" }, label), rows, element("div", { class: "offers" }, offered, button("+ other", () => add("").querySelector("input").focus(), "offer")),
    element("details", {}, element("summary", {}, `${label} as JSON`), element("label", { class: "wide" }, element("span", { class: "unseen" }, `${label}, JSON`), typed)))
  made.read = () => ({ ...Object.fromEntries([...rows.children].map(filled).filter(Boolean)), ...object(typed.value, label) })
  return made
}

function kindOf(kind, value) {
  if (Array.isArray(kind)) return "text"
  if (value === undefined) return kind
  if (typeof value === "object") return "json"
  return { number: "number", boolean: "boolean" }[typeof value] ?? "text"
}

function row(name, [kind, about], value) {
  const list = Array.isArray(kind) && `v-${++numbered}`
  const said = value === undefined ? (kind === "boolean" ? "true" : "") : typeof value === "object" ? JSON.stringify(value) : String(value)
  const made = element("div", { class: "row" },
    element("input", { "data-name": true, value: name, "aria-label": "Name", placeholder: "name", spellcheck: "false" }),
    element("input", { "data-value": true, value: said, list, "aria-label": `Value of ${name || "it"}`, placeholder: list ? kind.join(", ") : kind === "json" ? "JSON" : "value", spellcheck: "false" }),
    list && element("datalist", { id: list }, kind.map(each => element("option", { value: each }))),
    element("select", { "data-kind": true, "aria-label": `Type of ${name || "it"}` }, Object.entries(KINDS).map(([word, title]) =>
      element("option", { value: word, selected: word === kindOf(kind, value) }, title))),
    button("✕", () => made.remove(), "quiet", `Without ${name || "it"}`),
    about && element("small", {}, about))
  return made
}

function filled(made) {
  const [name, value, kind] = ["[data-name]", "[data-value]", "[data-kind]"].map(each => made.querySelector(each).value.trim())
  if (!name) return null
  if (kind === "number") {
    if (value === "" || !Number.isFinite(Number(value))) throw new Refused(`${name}: expected a number`)
    return [name, Number(value)]
  }
  if (kind === "boolean") {
    if (!["true", "false", "yes", "no"].includes(value)) throw new Refused(`${name}: expected true or false`)
    return [name, value === "true" || value === "yes"]
  }
  if (kind === "json") {
    try {
      return [name, JSON.parse(value)]
    } catch (error) {
      throw new Refused(`${name}: expected JSON: ${error.message}`)
    }
  }
  return [name, value]
}
