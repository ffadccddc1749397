// Making elements, tables and forms. Text is always text: nothing that a peer named is ever read as HTML.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value)
    else if (value === true) made.setAttribute(name, "")
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(name, value)
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false))
  return made
}

// columns: [{ title, value: row => text, number or element, sort: row => comparable }]
export function table(caption, columns, rows, empty = "none") {
  const numeric = column => rows.length > 0 && rows.every(row => typeof column.value(row) === "number")
  const kind = column => (numeric(column) ? "number" : "word")
  const head = element("tr", {}, columns.map(column => element("th", { scope: "col", class: kind(column) }, column.title)))
  const cell = (column, row) => {
    const value = column.value(row)
    return element("td", { class: kind(column) }, value instanceof Node ? value : text(value))
  }
  const body = rows.map(row => element("tr", {}, columns.map(column => cell(column, row))))
  if (!rows.length) body.push(element("tr", {}, element("td", { colspan: columns.length }, empty)))
  return element("div", { class: "scroll" },
    element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, body)))
}

export function figures(pairs) {
  return element("dl", { class: "figures" },
    Object.entries(pairs).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, text(value)))))
}

export function text(value) {
  if (value === undefined || value === null) return ""
  if (typeof value === "number") return value.toLocaleString("en")
  if (typeof value === "boolean") return value ? "yes" : "no"
  if (typeof value === "object") return Object.keys(value).length ? JSON.stringify(value) : ""
  return String(value)
}

// fields: [{ name, label, type, value, options, required }]; `submit` gets their values and may fail.
export function form(title, fields, label, submit) {
  const controls = fields.map(field => {
    const attributes = { name: field.name, required: field.required, value: field.value, placeholder: field.hint }
    if (field.options) {
      const options = field.options.map(option => element("option", {}, option))
      return element("label", {}, field.label, element("select", { name: field.name }, options))
    }
    if (field.type === "area") {
      return element("label", {}, field.label, element("textarea", { name: field.name, rows: 3 }, field.value ?? ""))
    }
    if (field.type === "checkbox") {
      const box = element("input", { type: "checkbox", name: field.name, checked: field.value })
      return element("label", { class: "check" }, box, field.label)
    }
    return element("label", {}, field.label, element("input", { type: field.type ?? "text", ...attributes }))
  })
  const made = element("form", { "aria-label": title }, controls, element("button", {}, label))
  made.addEventListener("submit", event => {
    event.preventDefault()
    const values = {}
    for (const control of made.elements) {
      if (control.name) values[control.name] = control.type === "checkbox" ? control.checked : control.value
    }
    submit(values)
  })
  return made
}

export function button(label, action, confirmation) {
  return element("button", { type: "button", onclick: () => { if (!confirmation || confirm(confirmation)) action() } }, label)
}
