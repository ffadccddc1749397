// Which page is shown, and when it is drawn again.
//
// A page is { title, group, tags, parent, every, load: async here => data, show: here => element }; `every`: after so many ms again. `here` is where the reader is and what
// may be done: { name, parameters, query, scope, scoped, summary, data, go, leave, act, attempt, refresh, say, who, may }.
import { Refused, get, place, setCredentials, skewMs } from "./api.js"
import { banner, notices } from "./banner.js"
import { element, rate } from "./dom.js"
import { bare, everyMs, head, menu, scope, scopes, unfold } from "./frame.js"
import { keyboard } from "./keys.js"
import { asking, whenOut, whoever } from "./login.js"
import { morph } from "./morph.js"
import { PAGES } from "./pages.js"
import { rights } from "./rights.js"
import { sample } from "./samples.js"
import { theme } from "./theme.js"
import { empty, heading } from "./widgets.js"

const MESSAGE_MS = 8000
const REST = 20
/* Times as long as an answer took: a broker for which an answer is work is asked less often. */
const LOST_MS = 5000
const find = id => document.getElementById(id)
let turn = 0
let waiting
let drawn = ""
let leaving = false
let loggedOut = true
let fading
let answeredMs = Date.now()
let who = { name: "", tags: [] }

function route() {
  const [path, query] = location.hash.slice(1).split("?")
  const [name, ...parameters] = path.split("/").map(decoded)
  const known = Object.hasOwn(PAGES, name) ? name : "overview"
  return { name: known, page: PAGES[known], parameters, query: Object.fromEntries(new URLSearchParams(query)) }
}

function decoded(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
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

const scoped = path => (scope() ? `${path}/${place(scope())}` : path)

// ── drawing ────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function render() {
  if (loggedOut) return
  const mine = ++turn
  const began = performance.now()
  clearTimeout(waiting)
  const { page, ...place } = route()
  const here = { ...place, scope: scope(), scoped, go, leave, act, attempt, refresh: render, say, who, may: rights(who) }
  let again = page.every ?? everyMs()
  try {
    const [summary, data] = await Promise.all([get("overview").catch(lost), page.load?.(here)])
    if (mine !== turn) return
    answeredMs = Date.now()
    remember(summary)
    head(summary)
    told(notices(summary, skewMs(), 0))
    draw(location.hash.split("?")[0], element("div", {}, page.show({ ...here, summary, data })))
  } catch (error) {
    if (mine !== turn || loggedOut) return
    if (error instanceof TypeError) {
      told(notices(null, 0, answeredMs))
      again = LOST_MS
    } else {
      say(error.message, true)
      if (drawn !== location.hash.split("?")[0]) draw("", element("div", {}, heading(page.title), empty(error.message, why(page, error))))
    }
    find("page").removeAttribute("aria-busy")
    if (!(error instanceof TypeError || error instanceof Refused)) console.error(error)
  }
  menu(page, who, render)
  if (!document.hidden && again) waiting = setTimeout(render, Math.max(again, REST * (performance.now() - began)))
}

function why(page, error) {
  if (page.tags && !page.tags.some(tag => who.tags.includes(tag))) return `This page is for users with the tag ${page.tags.join(" or ")}; ${who.name} has ${who.tags.join(", ") || "none"}.`
  return error.status === 401 ? `${who.name} may not see it: ask an administrator for a permission in its vhost.` : "It may be gone, or not yours to see."
}

// Whoever logs in may see the overview: a refusal is the login's. To go on asking would look like somebody who guesses passwords.
function lost(error) {
  if (error.status === 401) out("Your login is no longer valid.")
  throw error
}

const told = found => morph(find("alarms"), banner(found))

function draw(where, made) {
  const root = find("page")
  if (drawn === where && root.firstElementChild) morph(root.firstElementChild, made)
  else root.replaceChildren(made)
  drawn = where
  root.removeAttribute("aria-busy")
}

// For who may not see the broker's own history.
function remember(summary) {
  const stats = summary.message_stats
  sample("rates", { published: rate(stats, "publish"), delivered: rate(stats, "deliver_get"), acknowledged: rate(stats, "ack") })
  sample("queued", { ready: summary.queue_totals.messages_ready, unacked: summary.queue_totals.messages_unacknowledged })
}

// ── who is here ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function enter(found) {
  who = found
  loggedOut = false
  say("")
  bare(false)
  await scopes()
  await render()
}

function out(why = "") {
  loggedOut = true
  turn += 1
  clearTimeout(waiting)
  setCredentials("")
  told([])
  bare(true)
  document.title = "Log in – Hubbub"
  say(why, Boolean(why))
  for (const open of document.querySelectorAll("dialog")) open.remove()
  drawn = ""
  find("page").removeAttribute("aria-busy")
  find("page").replaceChildren(asking(enter, why))
  find("page").querySelector("input").focus()
}

// ── what happens ───────────────────────────────────────────────────────────────────────────────────────────────────────

addEventListener("hashchange", async () => {
  if (loggedOut) return
  if (!leaving) say("")
  leaving = false
  find("page").setAttribute("aria-busy", "true")
  unfold(false)
  scrollTo(0, 0)
  await render()
  find("main").focus({ preventScroll: true })
})
document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(waiting); else render() })
find("scope").addEventListener("change", () => { sessionStorage.setItem("scope", scope()); go({ ...route().query, page: undefined }) })
find("skip").addEventListener("click", event => { event.preventDefault(); find("main").focus() })
find("menu").addEventListener("click", () => unfold(find("menu").getAttribute("aria-expanded") !== "true"))
theme(find("theme"))
keyboard(find("keys"), { refresh: render })
whenOut(out)

// Who is there, as soon as the broker says so.
async function begin() {
  try {
    const found = await whoever()
    if (found) await enter(found)
    else out()
  } catch (error) {
    if (error instanceof TypeError) {
      told(notices(null, 0, answeredMs))
      setTimeout(begin, LOST_MS)
    } else {
      out(error.message)
    }
  }
}
begin()
