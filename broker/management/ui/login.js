// Logging in and out. The login is kept by this tab until it is closed (sessionStorage); tabs of this page that are opened beside it get it
// from it. Nothing is asked for where the browser, or whoever stands in front of the broker, sends a login of its own.
import { Refused, credentials, get, setCredentials } from "./api.js"
import { element } from "./dom.js"
import { form } from "./widgets.js"

const OTHERS_MS = 200
const tabs = new BroadcastChannel("hubbub")
let left = () => {}

tabs.onmessage = ({ data }) => {
  if (data.wanted && credentials()) tabs.postMessage({ login: credentials() })
  if (data.out && credentials()) {
    setCredentials("")
    left()
  }
}

const utf8 = words => btoa(String.fromCodePoint(...new TextEncoder().encode(words)))
export const basic = (user, password) => `Basic ${utf8(`${user}:${password}`)}`

// What a client of another protocol logs in with: { user, password }, or null where only the browser knows it.
export function known(who) {
  const [scheme, said] = (credentials() ?? "").split(" ")
  if (scheme === "Bearer") return { user: who.name, password: said }
  if (scheme !== "Basic") return null
  const words = new TextDecoder().decode(Uint8Array.from(atob(said), each => each.codePointAt(0)))
  return { user: words.slice(0, words.indexOf(":")), password: words.slice(words.indexOf(":") + 1) }
}

function fromOtherTabs() {
  return new Promise(resolve => {
    const asked = new BroadcastChannel("hubbub")
    const over = login => { asked.close(); resolve(login) }
    asked.onmessage = ({ data }) => data.login && over(data.login)
    asked.postMessage({ wanted: true })
    setTimeout(over, OTHERS_MS)
  })
}

const isRefused = error => error instanceof Refused && error.status === 401

// The user with its tags and permissions.
async function whoami() {
  const [found, rights] = await Promise.all([get("whoami"), get("hubbub/rights")])
  return { ...found, ...rights }
}

// Who is logged in, or null: then somebody has to be asked.
export async function whoever() {
  try {
    return await whoami()
  } catch (error) {
    if (!isRefused(error)) throw error
  }
  const login = credentials() ? null : await fromOtherTabs()
  setCredentials(login)
  return login ? whoami().catch(() => null) : null
}

// Of all tabs; then `out` is called in each.
export function whenOut(out) { left = out }
export function logOut() {
  tabs.postMessage({ out: true })
  setCredentials("")
  left()
}

async function logIn(header) {
  setCredentials(header)
  try {
    return await whoami()
  } catch (error) {
    setCredentials("")
    throw error
  }
}

// The page that asks. `done(who)`: somebody is in.
export function asking(done, why = "") {
  const enter = async header => done(await logIn(header))
  return element("div", { class: "login" }, element("div", { class: "card" },
    element("h1", {}, "Log in to Hubbub"), why && element("p", { class: "hint" }, why),
    form("Log in", [
      { name: "user", label: "User", required: true, autocomplete: "username", wide: true },
      { name: "password", label: "Password", type: "password", autocomplete: "current-password", wide: true },
    ], "Log in", ({ user, password }) => enter(basic(user, password)), "stacked"),
    element("details", {}, element("summary", {}, "With a token (OAuth 2)"),
      form("Log in with a token", [{ name: "token", label: "Access token (JWT)", type: "area", rows: 3, required: true }], "Log in with the token",
        ({ token }) => enter(`Bearer ${token.trim()}`), "stacked"))))
}
