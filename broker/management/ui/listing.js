// A listing that the broker searches, sorts and pages: what is asked for stands in the page's address, so that it can be kept.
import { get } from "./api.js"
import { element, plural } from "./dom.js"
import { button, table } from "./widgets.js"

const PAGE_SIZE = 50

// The page of `path` that `query` asks for; the last one where there are no longer so many.
export async function listed(path, query, sort) {
  const wanted = new URLSearchParams({ page: query.page ?? 1, page_size: PAGE_SIZE, sort: query.sort ?? sort,
    sort_reverse: query.reverse ?? "false" })
  if (query.name) wanted.set("name", query.name)
  if (query.name && query.regex) wanted.set("use_regex", "true")
  const asked = () => get(`${path}${path.includes("?") ? "&" : "?"}${wanted}`)
  try {
    return await asked()
  } catch (error) {
    if (wanted.get("page") === "1" || !error.message.startsWith("page out of range")) throw error
    wanted.set("page", "1")
    return asked()
  }
}

// `things`: what they are, in the plural. `go(query)` shows another page of them.
export function listing(things, columns, data, { query, go, sort, key, nothing, hint }) {
  const order = { sort: query.sort ?? sort, reverse: query.reverse === "true",
    by: (word, reverse) => go({ ...query, sort: word, reverse: String(reverse), page: undefined }) }
  const found = data.filtered_count === data.total_count ? plural(data.total_count, things.replace(/s$/, ""), things)
    : `${data.filtered_count.toLocaleString("en")} of ${plural(data.total_count, things.replace(/s$/, ""), things)}`
  const missing = query.name ? { nothing: `No ${things} match “${query.name}”.` } : { nothing, hint }
  return element("div", { class: "listing" }, search(things, query, go),
    table(found, columns, data.items, { ...missing, key, order }), pages(data, query, go))
}

function search(things, query, go) {
  let waiting
  const asked = event => {
    clearTimeout(waiting)
    const { name, regex } = event.currentTarget.form?.elements ?? event.currentTarget.elements
    const next = { ...query, name: name.value || undefined, regex: regex.checked ? "true" : undefined, page: undefined }
    waiting = setTimeout(() => go(next), event.type === "input" ? 250 : 0)
  }
  return element("form", { class: "search", role: "search", "aria-label": `Find ${things}`, onsubmit: event => { event.preventDefault(); asked(event) } },
    element("input", { type: "search", name: "name", value: query.name, placeholder: `Find ${things} by name`, spellcheck: "false",
      "aria-label": `Find ${things} by name`, oninput: asked, "data-find": true }),
    element("label", { class: "check" }, element("input", { type: "checkbox", name: "regex", checked: Boolean(query.regex), onchange: asked }),
      "regular expression"))
}

function pages(data, query, go) {
  if (data.page_count < 2) return ""
  const turn = page => () => go({ ...query, page })
  return element("p", { class: "pages" },
    button("← Previous", turn(data.page - 1), data.page > 1 ? "" : "unseen"),
    `page ${data.page} of ${data.page_count}`,
    button("Next →", turn(data.page + 1), data.page < data.page_count ? "" : "unseen"))
}
