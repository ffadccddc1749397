// Looking at a queue's messages, taking them home, and publishing.
import { place, post } from "../api.js"
import { bytes, element, plural, text } from "../dom.js"
import { pairs } from "../pairs.js"
import { PROPERTIES } from "../words.js"
import { button, empty, form, pill, sure } from "../widgets.js"

const MODES = [["ack_requeue_true", "Look, and put them back"], ["reject_requeue_true", "Reject, and put them back"], ["ack_requeue_false", "Take them out"],
  ["reject_requeue_false", "Reject: to the dead letters"]]
const ENCODINGS = [["auto", "as text where it is text"], ["base64", "always base64"]]
const SHOWN_BYTES = 50000

export function messages(found, where, { attempt, may }) {
  const seen = element("div", { "data-own": true, "aria-live": "polite", class: "messages" })
  const refused = may("read", found.vhost, found.name)
  if (refused) return element("p", { class: "hint" }, refused)
  const ask = (typed, made) => {
    const place = made.parentElement.querySelector(".messages")
    return attempt(async () => {
      const got = await post(`${where}/get`, { count: Number(typed.count), ackmode: typed.mode, encoding: typed.encoding, truncate: SHOWN_BYTES })
      place.replaceChildren(got.length ? element("ol", {}, got.map(shown)) : empty("The queue has no ready message."))
      return got
    }, got => plural(got.length, "message"))
  }
  const taking = (typed, made) => {
    const refusal = made.querySelector(".refusal")
    sure(`Take up to ${typed.count} messages out of the queue?`, "Take them", () => ask(typed, made).catch(error => { refusal.textContent = error.message }))
  }
  return [form("Look at messages", [
    { name: "count", label: "How many", type: "number", value: 10, required: true },
    { name: "mode", label: "And then", options: MODES },
    { name: "encoding", label: "Payload", options: ENCODINGS },
  ], "Get messages", (typed, made) => (typed.mode.endsWith("requeue_true") ? ask(typed, made) : taking(typed, made))),
  element("p", { class: "hint" }, "What is put back says “redelivered” to who gets it next."), seen]
}

export function shown(message) {
  const { headers, ...properties } = message.properties
  const isCut = message.payload_encoding === "string" ? new TextEncoder().encode(message.payload).length < message.payload_bytes : message.payload.length < 4 * Math.floor(message.payload_bytes / 3)
  return element("li", { class: "message" },
    element("div", { class: "line" }, element("strong", {}, message.exchange || "(nameless)"), " → ", element("code", {}, message.routing_key), " ",
      pill(bytes(message.payload_bytes)), " ", message.redelivered && pill("redelivered", "warn"), " ",
      properties.delivery_mode === 2 && pill("persistent"), " ",
      message.payload_encoding === "base64" && pill("base64"), isCut && pill("the first part", "warn"), " ",
      button("Download", () => download(message), "link", `Download the payload of a message for ${message.routing_key}`)),
    facts(properties, headers),
    element("pre", { tabindex: 0 }, message.payload))
}

function download(message) {
  const octets = message.payload_encoding === "base64" ? Uint8Array.from(atob(message.payload), each => each.codePointAt(0)) : message.payload
  save("payload", new Blob([octets], { type: "application/octet-stream" }))
}

// Gives the reader a file.
export function save(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
}

function facts(properties, headers) {
  const found = [...Object.entries(properties).filter(([name]) => name !== "delivery_mode"),
    ...Object.entries(headers ?? {}).map(([name, value]) => [`header ${name}`, value])]
  return found.length > 0 && element("p", { class: "hint" }, found.map(([name, value]) => `${name}: ${text(value)}`).join(" · "))
}

// `key` null: it is asked for.
export function publishing(vhost, exchange, key, { attempt, may }) {
  const refused = may("write", vhost, exchange || "amq.default")
  if (refused) return element("p", { class: "hint" }, refused)
  const given = pairs("Properties", PROPERTIES, {}, "properties")
  const read = made => made.querySelector(".pairs").read()
  return form("Publish a message", [
    key === null && { name: "routing_key", label: "Routing key", wide: true },
    { name: "payload", label: "Payload", type: "area" },
    { made: given },
    { name: "encoding", label: "The payload is", options: [["string", "text"], ["base64", "base64"]] },
    { name: "persistent", label: "persistent", type: "checkbox", value: true },
  ].filter(Boolean), "Publish", (typed, made) => attempt(() => post(`exchanges/${place(vhost, exchange || "amq.default")}/publish`, {
    properties: { delivery_mode: typed.persistent ? 2 : 1, ...read(made) },
    routing_key: key ?? typed.routing_key, payload: typed.payload, payload_encoding: typed.encoding,
  }), said => (said.routed ? "Published: the broker has it" : "Published, but nobody wanted it: no binding matches")))
}
