// Tables, figures, forms and dialogs: the pieces of which every page is made.
import { element, text } from "./dom.js"

let numbered = 0

export function section(title, actions, ...children) {
  const id = `h-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`
  return element("section", { class: "card", "aria-labelledby": id },
    element("div", { class: "head" }, element("h2", { id }, title), element("div", { class: "actions" }, actions)), children)
}

export function heading(title, actions, ...about) {
  return element("div", { class: "title" }, element("h1", {}, title), about, element("div", { class: "actions" }, actions))
}

export function back(href, title) {
  return element("a", { class: "back", href }, `← ${title}`)
}

export const pill = (word, kind = "") => element("span", { class: `pill ${kind}` }, word)
export const code = words => element("code", {}, text(words))
export const link = (href, words) => element("a", { href }, words)

export function empty(words, hint) {
  return element("div", { class: "empty" }, element("p", {}, words), hint && element("p", { class: "hint" }, hint))
}

// columns: [{ title, value: row => text, number or element, number: is it aligned as one, sort: the API's word for it }]
// order: { sort, reverse, by: word => … } makes the titles of columns that have a `sort` buttons.
export function table(caption, columns, rows, { nothing = "None.", hint, key, order } = {}) {
  if (!rows.length) return empty(nothing, hint)
  const numeric = column => column.number ?? rows.every(row => typeof column.value(row) === "number")
  const kind = new Map(columns.map(column => [column, column.act ? "act" : numeric(column) ? "number" : "word"]))
  const head = columns.map(column => element("th", { scope: "col", class: kind.get(column), "aria-sort": direction(column, order) },
    column.sort && order ? sorter(column, order) : column.act || !column.title ? element("span", { class: "unseen" }, column.title || "Number") : column.title))
  const cell = (column, row) => {
    const value = column.value(row)
    return element("td", { class: kind.get(column) }, value instanceof Node || Array.isArray(value) ? value : text(value))
  }
  const body = rows.map(row => element("tr", { "data-key": key?.(row) }, columns.map(column => cell(column, row))))
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)))
}

function direction(column, order) {
  if (!order || !column.sort || order.sort !== column.sort) return undefined
  return order.reverse ? "descending" : "ascending"
}

function sorter(column, order) {
  const now = direction(column, order)
  return element("button", { type: "button", class: "sort", onclick: () => order.by(column.sort, now === "ascending") },
    column.title, element("span", { "aria-hidden": "true" }, now === "ascending" ? " ▲" : now === "descending" ? " ▼" : ""))
}

// pairs: { name: value or [value, kind, href] }; kind "good", "warn" or "bad" colours it.
export function figures(pairs) {
  const count = Object.keys(pairs).length
  return element("dl", { class: `figures of-${Math.ceil(count / Math.ceil(count / 7))}` }, Object.entries(pairs).map(([name, value]) => {
    const [shown, kind, href] = Array.isArray(value) ? value : [value, ""]
    const told = shown instanceof Node ? shown : text(shown)
    return element("div", { class: kind }, element("dt", {}, name), element("dd", {}, href ? element("a", { href }, told) : told))
  }))
}

// Names and values beside each other, for what is read rather than watched.
export function facts(pairs) {
  return element("dl", { class: "facts" }, Object.entries(pairs).filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value instanceof Node ? value : text(value)))))
}

// fields: [{ name, label, type, value, options, suggestions, required, hint, wide, about }]; `submit` gets their values, and what it throws is said in the form.
export function form(title, fields, label, submit, kind = "") {
  const about = `f-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`
  return element("form", { "aria-label": title, class: kind, autocomplete: "off", onsubmit: async event => {
    event.preventDefault()
    const made = event.currentTarget
    const refusal = made.querySelector(".refusal")
    refusal.textContent = ""
    try {
      await submit(values(made), made)
    } catch (error) {
      refusal.textContent = error.message
    }
  } }, fields.map(field => control(field, about)), element("button", { class: "primary" }, label), element("p", { class: "refusal wide", role: "alert", "data-own": true }))
}

function values(made) {
  const typed = {}
  for (const each of made.elements) if (each.name) typed[each.name] = each.type === "checkbox" ? each.checked : each.value
  return typed
}

function control(field, form) {
  const hint = field.about && `${form}-${field.name}`
  const attributes = { name: field.name, required: field.required, placeholder: field.hint, onchange: field.changed, "aria-describedby": hint }
  const around = field.wide ? "wide" : ""
  const about = field.about && element("small", { id: hint }, field.about)
  if (field.made) return element("div", { class: "wide", "data-own": true }, field.made)
  if (field.options) {
    const options = field.options.map(option => {
      const [value, words] = Array.isArray(option) ? option : [option, option]
      return element("option", { value, selected: value === field.value }, words)
    })
    return element("label", { class: around }, field.label, element("select", { name: field.name, onchange: field.changed, "aria-describedby": hint }, options), about)
  }
  if (field.type === "area") {
    return element("label", { class: "wide" }, field.label, element("textarea", { rows: field.rows ?? 4, spellcheck: "false", ...attributes }, field.value ?? ""), about)
  }
  if (field.type === "checkbox") {
    return element("label", { class: "check" }, element("input", { type: "checkbox", name: field.name, checked: field.value, "aria-describedby": hint }), field.label, about)
  }
  const list = field.suggestions && `l-${++numbered}`
  return element("label", { class: around }, field.label,
    list && element("datalist", { id: list }, field.suggestions.map(each => element("option", { value: each }))),
    element("input", { type: field.type ?? "text", list, value: field.value, autocomplete: field.autocomplete, spellcheck: "false", ...attributes }), about)
}

// `refused`: why it is not to be pressed; then it says so instead.
export function button(label, action, kind = "", about = "", refused = undefined) {
  return element("button", { type: "button", class: kind, "aria-label": about || undefined, title: refused, "aria-disabled": refused ? "true" : undefined,
    onclick: refused ? () => sayRefused(refused) : action }, label)
}

function sayRefused(words) {
  dialog("Not for this login", element("p", {}, words))
}

// ── dialogs: one at a time, above the page ──────────────────────────────────────────────────────────────────────────────

export function dialog(title, ...children) {
  const id = `d-${++numbered}`
  const made = element("dialog", { "aria-labelledby": id, onclose: () => made.remove() },
    element("div", { class: "head" }, element("h2", { id }, title), button("✕", () => made.close(), "quiet", "Close")), children)
  document.body.append(made)
  made.showModal()
  return made
}

// Asks before something that cannot be undone.
export function sure(question, label, action) {
  const made = dialog("Are you sure?", element("p", {}, question), element("div", { class: "actions end" },
    button("Cancel", () => made.close()), button(label, () => { made.close(); action() }, "danger")))
}

// A form that closes when what it asked for was done.
export function formDialog(title, fields, label, submit, about) {
  const made = dialog(title, about && element("p", { class: "hint" }, about), form(title, fields, label, async typed => {
    await submit(typed)
    made.close()
  }, "stacked"))
  made.querySelector("form input, form select, form textarea").focus()
  return made
}
