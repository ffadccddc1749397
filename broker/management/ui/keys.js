// The keyboard: a few single keys, which can be turned off (WCAG 2.1.4), and a dialog that lists them.
import { element } from "./dom.js"
import { dialog } from "./widgets.js"

const PAGES = { o: "overview", n: "node", c: "connections", h: "channels", s: "consumers", l: "ledger", e: "exchanges", g: "graph", q: "queues", m: "sessions", r: "retained", w: "socket",
  x: "explain", t: "trace", u: "users", v: "vhosts", p: "policies" }
const on = () => localStorage.getItem("keys") !== "off"

export function keyboard(opener, { refresh }) {
  let leading = false
  opener.addEventListener("click", help)
  addEventListener("keydown", event => {
    if (!on() || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return
    const led = leading
    leading = false
    if (led && event.key in PAGES) location.hash = PAGES[event.key]
    else if (event.key === "g") leading = true
    else if (event.key === "/") document.querySelector("[data-find]")?.focus()
    else if (event.key === "r") refresh()
    else if (event.key === "?") help()
    else return
    event.preventDefault()
  })
}

function help() {
  const row = (keys, does) => element("tr", {}, element("td", {}, keys.map(key => [element("kbd", {}, key), " "])), element("td", {}, does))
  dialog("Keyboard",
    element("table", {}, element("caption", { class: "unseen" }, "Keys and what they do"),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Keys"), element("th", { scope: "col" }, "What they do"))),
      element("tbody", {},
        row(["/"], "Find in the list"), row(["r"], "Ask the broker now"), row(["?"], "This list"),
        Object.entries(PAGES).map(([key, page]) => row(["g", key], `Go to ${page}`)))),
    element("label", { class: "check" }, element("input", { type: "checkbox", checked: on(),
      onchange: event => localStorage.setItem("keys", event.currentTarget.checked ? "on" : "off") }), "Single keys do this"))
}
