// Publish and subscribe in the page, over the native WebSocket dialect (docs/protocols/websocket.md). The page stays as it is
// while others are looked at: its connection, subscriptions and messages last until they are ended.
import { element, text } from "../dom.js"
import { known } from "../login.js"
import { button, empty, form, heading, pill, section } from "../widgets.js"

const MESSAGES_MAX = 200
let root
let connection = null

export const socket = {
  title: "Publish & subscribe",
  group: "Tools",
  show: ({ who, scope, say }) => {
    root ??= element("div", { "data-own": true, id: "socket" }, heading("Publish & subscribe", null, element("span", { id: "ws-state" }, pill("not connected"))),
      section("Log in", null, login(who, scope, say)))
    return root
  },
}

const state = (word, kind) => root.querySelector("#ws-state").replaceChildren(pill(word, kind))

function login(who, scope, say) {
  const mine = known(who)
  const made = form("Log in", [
    { name: "user", label: "User", value: who.name, required: true, autocomplete: "username" },
    { name: "password", label: mine ? "Password; none: of this login" : "Password", type: "password", required: !mine, autocomplete: "current-password" },
    { name: "vhost", label: "Vhost", value: scope || "/", required: true },
  ], "Connect", typed => connect(mine && !typed.password ? { ...typed, ...mine } : typed, say))
  return [element("p", { class: "hint" }, "This page becomes a client of the broker, over WebSocket."), made]
}

function connect(typed, say) {
  connection?.close()
  const address = new URL("hubbub", document.baseURI)
  address.protocol = address.protocol.replace("http", "ws")
  const opened = new WebSocket(address, "hubbub.json")
  const waiting = new Map()
  let last = 0
  connection = {
    subscriptions: new Map(),
    send: message => opened.send(JSON.stringify(message)),
    // The answer to a message, and how long it took; throws what the broker refuses.
    ask: message => new Promise((resolve, reject) => {
      const id = message.id ?? ++last
      waiting.set(id, { resolve, reject, began: performance.now() })
      connection.send({ ...message, id })
    }),
    close: () => opened.close(1000),
  }
  const mine = connection
  state("connecting…", "warn")
  opened.onopen = () => mine.ask({ type: "hello", ...typed }).then(({ answer }) => welcomed(mine, answer, say), error => say(error.message, true))
  opened.onmessage = event => took(mine, waiting, JSON.parse(event.data), say)
  opened.onclose = event => {
    for (const { reject } of waiting.values()) reject(new Error("the connection was closed"))
    if (mine !== connection) return
    connection = null
    state("not connected")
    if (event.code !== 1000 && !event.wasClean) say("No WebSocket: is websocket.on_management_port off, or this page not in websocket.origins?", true)
    root.querySelector("#ws-work")?.remove()
    root.querySelector("section").hidden = false
  }
}

function took(mine, waiting, message, say) {
  if (message.type === "message") return arrived(mine, message)
  if (message.type === "cancelled") return forgotten(mine, message.id, say)
  const asked = waiting.get(message.id)
  waiting.delete(message.id)
  if (message.type === "error") {
    const error = new Error(`${message.code}: ${message.text}`)
    if (asked) asked.reject(error)
    else say(error.message, true)
  } else {
    asked?.resolve({ answer: message, took: performance.now() - asked.began })
  }
  return undefined
}

// ── after the welcome ──────────────────────────────────────────────────────────────────────────────────────────────────

function welcomed(mine, answer, say) {
  root.querySelector("section").hidden = true
  state(`${answer.user} in ${answer.vhost}`, "good")
  root.append(element("div", { id: "ws-work" },
    element("div", { class: "columns" },
      section("Publish", button("Disconnect", () => mine.close()), publish(mine, say)),
      section("Subscribe", null, subscribe(mine, say), element("ul", { id: "ws-subscriptions", class: "chips" }))),
    section("Messages", button("Clear", () => arrivals([])), element("div", { id: "ws-messages", role: "log", "aria-label": "Messages, newest first" })),
  ))
  arrivals([])
}

const PUBLISH_TO = [["topic", "an MQTT topic"], ["exchange", "an exchange"], ["queue", "a queue"]]

function publish(mine, say) {
  const made = form("Publish", [
    { name: "to", label: "To", options: PUBLISH_TO, changed: event => { event.currentTarget.form.elements.key.closest("label").hidden = event.currentTarget.value !== "exchange" } },
    { name: "name", label: "Name", required: true, hint: "home/kitchen" },
    { name: "key", label: "Routing key" },
    { name: "body", label: "Body", type: "area" },
    { name: "persistent", label: "persistent", type: "checkbox", value: true },
    { name: "mandatory", label: "somebody must get it", type: "checkbox" },
    { name: "retain", label: "retain (topics)", type: "checkbox" },
  ], "Publish", async typed => {
    const { to, name, key, retain, ...message } = typed
    try {
      const { took } = await mine.ask({ type: "publish", [to]: name, ...message,
        ...(to === "exchange" ? { routing_key: key } : {}), ...(to === "topic" ? { retain } : {}) })
      say(`Accepted after ${text(took)} ms`)
    } catch (error) {
      say(error.message, true)
    }
  })
  made.elements.key.closest("label").hidden = true
  return made
}

function subscribe(mine, say) {
  return form("Subscribe", [
    { name: "to", label: "To", options: [["topic", "topics"], ["queue", "a queue"]] },
    { name: "name", label: "Topic filter or queue", required: true, hint: "home/#" },
    { name: "ack", label: "I acknowledge each (queues)", type: "checkbox" },
  ], "Subscribe", async ({ to, name, ack }) => {
    const id = `${to} ${name}`
    if (mine.subscriptions.has(id)) return say(`Subscribed to ${name} already`, true)
    try {
      await mine.ask({ type: "subscribe", id, [to]: name, ...(ack ? { ack } : {}) })
      mine.subscriptions.set(id, name)
      chips(mine, say)
      say(`Subscribed to ${name}`)
    } catch (error) {
      say(error.message, true)
    }
    return undefined
  })
}

function chips(mine, say) {
  const end = (id, name) => mine.ask({ type: "unsubscribe", id }).then(() => {
    mine.subscriptions.delete(id)
    chips(mine, say)
    say(`No longer subscribed to ${name}`)
  }, error => say(error.message, true))
  root.querySelector("#ws-subscriptions").replaceChildren(...[...mine.subscriptions].map(([id, name]) =>
    element("li", { class: "pill" }, name, " ", button("✕", () => end(id, name), "quiet", `Unsubscribe from ${name}`))))
}

function forgotten(mine, id, say) {
  say(`${mine.subscriptions.get(id) ?? id} is gone: the subscription ended`, true)
  mine.subscriptions.delete(id)
  chips(mine, say)
}

let shown = []

function arrivals(next) {
  shown = next
  const place = root.querySelector("#ws-messages")
  place.replaceChildren(shown.length ? element("ol", { class: "messages" }, shown) : empty("No message yet.", "Subscribe to topics or a queue, and publish."))
}

function arrived(mine, message) {
  const from = message.topic ?? `${message.exchange || "(nameless)"} → ${message.routing_key ?? ""}`
  const answer = (label, said) => button(label, event => {
    mine.send({ tag: message.tag, ...said })
    event.currentTarget.parentElement.replaceChildren(pill(label.toLowerCase()))
  })
  arrivals([element("li", { class: "message" },
    element("p", {}, element("strong", {}, from), " ", element("span", { class: "hint" }, new Date().toLocaleTimeString()), " ",
      message.retained && pill("retained"), message.redelivered && pill("redelivered", "warn"), message.persistent && pill("persistent")),
    element("pre", {}, message.body ?? message.octets ?? ""),
    message.properties && element("p", { class: "hint" }, text(message.properties)),
    message.tag !== undefined && element("p", { class: "actions" }, answer("Acknowledge", { type: "ack" }), answer("Requeue", { type: "nack" }),
      answer("Reject", { type: "nack", requeue: false }))), ...shown].slice(0, MESSAGES_MAX))
}
