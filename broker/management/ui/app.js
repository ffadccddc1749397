// Which page is shown, and when it is drawn again.
//
// A page is { title, group, tags, parent, every, load: async here => data, show: here => element }; `every`: after so many ms again. `here` is where the reader is and what
// may be done: { name, parameters, query, scope, scoped, summary, data, go, leave, act, attempt, say, who }.
import { get, place } from "./api.js"
import { sample, since } from "./charts.js"
import { element, rate } from "./dom.js"
import { keyboard } from "./keys.js"
import { morph } from "./morph.js"
import { GROUPS, PAGES } from "./pages.js"
import { theme } from "./theme.js"
import { empty, heading } from "./widgets.js"

const REFRESH_MS = 3000
const MESSAGE_MS = 8000
const REST = 20
/* Times as long as an answer took: a broker for which an answer is work is asked less often. */
const find = id => document.getElementById(id)
let turn = 0
let waiting
let drawn = ""
let leaving = false
let loggedOut = false
let fading
let who = { name: "", tags: [] }

function route() {
  const [path, query] = location.hash.slice(1).split("?")
  const [name, ...parameters] = path.split("/").map(decodeURIComponent)
  const known = name in PAGES ? name : "overview"
  return { name: known, page: PAGES[known], parameters, query: Object.fromEntries(new URLSearchParams(query)) }
}

export function say(said, bad = false) {
  const message = find("message")
  message.setAttribute("aria-live", bad ? "assertive" : "polite")
  message.className = bad ? "bad" : "good"
  message.textContent = said
  clearTimeout(fading)
  if (said && !bad) fading = setTimeout(() => say(""), MESSAGE_MS)
}

// ── what pages may do ──────────────────────────────────────────────────────────────────────────────────────────────────

// Does something that changes the broker, says how it went, and draws the page again; throws what the broker refuses.
async function attempt(action, words) {
  const answered = await action()
  scopes()
  say(typeof words === "function" ? words(answered) : words ?? "")
  await render()
  return answered
}

// The same, for where nobody waits: says what the broker refuses.
async function act(action, words) {
  try {
    return await attempt(action, words)
  } catch (error) {
    say(error.message, true)
    return undefined
  }
}

function go(query) {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""))
  const path = location.hash.slice(1).split("?")[0] || "overview"
  history.replaceState(null, "", `#${path}${asked.size ? `?${asked}` : ""}`)
  find("page").setAttribute("aria-busy", "true")
  render()
}

// To another page, in the course of an action: what it says stays.
function leave(hash) {
  leaving = location.hash !== hash
  location.hash = hash
}

const scope = () => find("scope").querySelector("select").value
const scoped = path => (scope() ? `${path}/${place(scope())}` : path)

// ── drawing ────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function render() {
  const mine = ++turn
  const began = performance.now()
  clearTimeout(waiting)
  const { page, ...place } = route()
  const here = { ...place, scope: scope(), scoped, go, leave, act, attempt, say, who }
  try {
    const [summary, data] = await Promise.all([get("overview").catch(lost), page.load?.(here)])
    if (mine !== turn) return
    loggedOut = false
    remember(summary)
    head(summary)
    draw(location.hash.split("?")[0], element("div", {}, page.show({ ...here, summary, data })))
    if (find("message").dataset.lost) say("")
    delete find("message").dataset.lost
  } catch (error) {
    if (mine !== turn) return
    const gone = error instanceof TypeError
    say(gone ? "The broker does not answer." : error.message, true)
    find("message").dataset.lost = true
    if (drawn !== location.hash.split("?")[0]) draw("", element("div", {}, heading(page.title), empty(error.message, "It may be gone, or not yours to see.")))
  }
  menu(page)
  if (!document.hidden && !loggedOut) waiting = setTimeout(render, Math.max(page.every ?? REFRESH_MS, REST * (performance.now() - began)))
}

// Whoever logs in may see the overview: a refusal is the login's. To go on asking would look like somebody who guesses passwords.
function lost(error) {
  loggedOut = error.status === 401
  throw loggedOut ? new Error("Your login is no longer valid. Reload the page to log in.") : error
}

function draw(where, made) {
  const root = find("page")
  if (drawn === where && root.firstElementChild) morph(root.firstElementChild, made)
  else root.replaceChildren(made)
  drawn = where
  root.removeAttribute("aria-busy")
}

function remember(summary) {
  const { store, memory } = summary.hubbub
  const stats = summary.message_stats
  sample("rates", { published: rate(stats, "publish"), delivered: rate(stats, "deliver_get"), acknowledged: rate(stats, "ack") })
  sample("queued", { ready: summary.queue_totals.messages_ready, unacked: summary.queue_totals.messages_unacknowledged })
  sample("memory", { resident: memory.resident_bytes })
  sample("disk", { live: store.live_bytes ?? 0, file: store.file_bytes ?? 0 })
  sample("here", { connections: summary.object_totals.connections, consumers: summary.object_totals.consumers })
  const spent = since("commits", { commits: store.commits ?? 0, seconds: store.commit_seconds ?? 0 })
  const slowest = since("latency", Object.fromEntries((store.commit_latency ?? []).map(([upTo, count]) => [upTo ?? Infinity, count])))
  if (spent) sample("commit", { mean: spent.commits ? spent.seconds / spent.commits * 1000 : 0, "slowest, at most": worst(slowest) })
}

function worst(buckets) {
  const filled = Object.entries(buckets).filter(([, count]) => count).map(([upTo]) => Number(upTo))
  return filled.length ? Math.min(Math.max(...filled), 2) * 1000 : 0
}

function head(summary) {
  find("version").textContent = `${summary.product_version} · ${summary.cluster_name}`
  const alarms = Object.entries(summary.hubbub.alarms)
  const told = element("div", { id: "alarms", role: "alert" }, alarms.map(([name, why]) =>
    element("p", {}, element("strong", {}, `Alarm: ${name}. `), `${why}. Publishers wait.`)))
  morph(find("alarms"), told)
}

function menu(page) {
  document.title = `${page.title} – Hubbub`
  const allowed = ([, each]) => !each.tags || each.tags.some(tag => who.tags.includes(tag))
  const links = group => Object.entries(PAGES).filter(([, each]) => each.group === group).filter(allowed)
  const made = element("nav", { id: "pages", "aria-label": "Pages", class: find("pages").className }, GROUPS.map(group => links(group).length > 0 && element("div", {},
    element("h2", {}, group), element("ul", {}, links(group).map(([name, each]) => element("li", {},
      element("a", { href: `#${name}`, "aria-current": each === page || name === page.parent ? "page" : undefined }, each.title)))))))
  morph(find("pages"), made)
}

// The vhosts to choose from.
async function scopes() {
  const vhosts = (await get("vhosts?columns=name")).map(each => each.name)
  const chosen = sessionStorage.getItem("scope") ?? ""
  const options = [element("option", { value: "" }, "All"), ...vhosts.map(name => element("option", { value: name }, name))]
  find("scope").hidden = vhosts.length < 2
  find("scope").querySelector("select").replaceChildren(...options)
  if (!vhosts.includes(chosen)) sessionStorage.removeItem("scope")
  if (vhosts.includes(chosen)) find("scope").querySelector("select").value = chosen
}

// ── what happens ───────────────────────────────────────────────────────────────────────────────────────────────────────

addEventListener("hashchange", async () => {
  if (!leaving) say("")
  leaving = false
  find("page").setAttribute("aria-busy", "true")
  unfold(false)
  scrollTo(0, 0)
  await render()
  find("main").focus({ preventScroll: true })
})
document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(waiting); else if (!loggedOut) render() })
find("scope").addEventListener("change", () => { sessionStorage.setItem("scope", scope()); go({ ...route().query, page: undefined }) })
find("skip").addEventListener("click", event => { event.preventDefault(); find("main").focus() })

function unfold(open) {
  find("menu").setAttribute("aria-expanded", String(open))
  find("pages").classList.toggle("open", open)
}

find("menu").addEventListener("click", () => unfold(find("menu").getAttribute("aria-expanded") !== "true"))
theme(find("theme"))
keyboard(find("keys"), { refresh: render })
try {
  [who] = await Promise.all([get("whoami"), scopes()])
} catch (error) {
  say(error.message, true)
}
render()
