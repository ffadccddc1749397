// Which page is shown, and when it is shown again. A page is { title, load: async (parameters) => data, show: (data, page) => element }.
import { get } from "./api.js"
import { element } from "./dom.js"
import { sample } from "./charts.js"
import { connections } from "./views/connections.js"
import { exchanges } from "./views/exchanges.js"
import { overview } from "./views/overview.js"
import { policies } from "./views/policies.js"
import { queue, queues } from "./views/queues.js"
import { users } from "./views/users.js"

const REFRESH_MS = 3000
const PAGES = { overview, connections, exchanges, queues, users, policies }
const HIDDEN = { queue }
let shown = 0

function route() {
  const [name, ...parameters] = location.hash.slice(1).split("/").map(decodeURIComponent)
  const page = PAGES[name] ?? HIDDEN[name] ?? overview
  return { page, parameters }
}

export function say(words, bad = false) {
  const message = document.getElementById("message")
  message.textContent = words
  message.className = bad ? "bad" : ""
}

// Does something that changes the broker, says how it went, and shows the page again.
export async function act(action, words) {
  try {
    const said = await action()
    say(typeof words === "function" ? words(said) : words)
    await render(true)
    return said
  } catch (error) {
    say(error.message, true)
    return undefined
  }
}

// Without `always`, a page on which somebody is typing is left alone.
async function render(always) {
  const turn = ++shown
  const { page, parameters } = route()
  const main = document.getElementById("main")
  try {
    const [summary, data] = await Promise.all([get("overview"), page.load(...parameters)])
    if (turn !== shown) return
    remember(summary)
    head(summary, page)
    if (!always && (main.contains(document.activeElement) && document.activeElement !== main || main.querySelector("details[open]"))) return
    const open = [...main.querySelectorAll("details[open]")].map(each => each.id)
    main.replaceChildren(page.show({ summary, data, parameters, act }))
    for (const id of open) document.getElementById(id)?.setAttribute("open", "")
  } catch (error) {
    if (turn === shown) say(`The broker does not answer: ${error.message}`, true)
  }
}

function remember(summary) {
  const rate = name => summary.message_stats[`${name}_details`]?.rate ?? 0
  const store = summary.hubbub.store
  sample("rates", { published: rate("publish"), delivered: rate("deliver_get"), acknowledged: rate("ack") })
  sample("queued", { ready: summary.queue_totals.messages_ready, unacked: summary.queue_totals.messages_unacknowledged })
  sample("disk", { "live MB": Math.round((store.live_bytes ?? 0) / 1e5) / 10 })
  const commits = store.commits ?? 0
  sample("commit", { "mean ms": commits ? Math.round(store.commit_seconds / commits * 1e5) / 100 : 0 })
}

function head(summary, page) {
  document.getElementById("version").textContent = `${summary.product_version} · ${summary.cluster_name}`
  document.title = `${page.title} – Hubbub`
  const alarms = Object.entries(summary.hubbub.alarms)
  document.getElementById("alarms").replaceChildren(...alarms.map(([name, why]) => element("p", {}, `${name}: ${why}`)))
  document.getElementById("pages").replaceChildren(...Object.entries(PAGES).map(([name, each]) =>
    element("a", { href: `#${name}`, "aria-current": each === page || each === page.parent ? "page" : undefined }, each.title)))
}

addEventListener("hashchange", () => {
  say("")
  render(true).then(() => document.getElementById("main").focus())
})
render(true)
setInterval(() => { if (!document.hidden) render(false) }, REFRESH_MS)
