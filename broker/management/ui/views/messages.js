// Looking at a queue's messages, taking them, and publishing.
import { object, place, post } from "../api.js"
import { bytes, element, text } from "../dom.js"
import { empty, form, pill, sure } from "../widgets.js"

const MODES = [["ack_requeue_true", "Look, and put them back"], ["ack_requeue_false", "Take them out"], ["reject_requeue_false", "Reject: to the dead letters"]]
const SHOWN_BYTES = 50000

export function messages(where, { act }) {
  const seen = element("div", { "data-own": true, "aria-live": "polite", class: "messages" })
  const ask = (typed, made) => {
    const place = made.parentElement.querySelector(".messages")
    return act(async () => {
      const found = await post(`${where}/get`, { count: Number(typed.count), ackmode: typed.mode, encoding: "auto", truncate: SHOWN_BYTES })
      place.replaceChildren(found.length ? element("ol", {}, found.map(shown)) : empty("The queue has no ready message."))
      return found
    }, found => `${text(found.length)} ${found.length === 1 ? "message" : "messages"}`)
  }
  const asked = (typed, made) => (typed.mode === "ack_requeue_true" ? ask(typed, made)
    : sure(`Take up to ${typed.count} messages out of the queue?`, "Take them", () => ask(typed, made)))
  return [form("Look at messages", [
    { name: "count", label: "How many", type: "number", value: 10, required: true },
    { name: "mode", label: "And then", options: MODES },
  ], "Get messages", asked), seen]
}

export function shown(message) {
  const { headers, ...properties } = message.properties
  return element("li", { class: "message" },
    element("p", {}, element("strong", {}, message.exchange || "(nameless)"), " → ", element("code", {}, message.routing_key), " ",
      pill(bytes(message.payload_bytes)), " ", message.redelivered && pill("redelivered", "warn"), " ",
      properties.delivery_mode === 2 && pill("persistent"), " ",
      message.payload_encoding === "base64" && pill("not text: base64")),
    facts(properties, headers),
    element("pre", {}, message.payload))
}

function facts(properties, headers) {
  const found = [...Object.entries(properties).filter(([name]) => name !== "delivery_mode"),
    ...Object.entries(headers ?? {}).map(([name, value]) => [`header ${name}`, value])]
  return found.length > 0 && element("p", { class: "hint" }, found.map(([name, value]) => `${name}: ${text(value)}`).join(" · "))
}

// `key` null: it is asked for.
export function publishing(vhost, exchange, key, { act }) {
  return form("Publish a message", [
    key === null && { name: "routing_key", label: "Routing key", wide: true },
    { name: "payload", label: "Payload", type: "area" },
    { name: "properties", label: "Properties, JSON", type: "area", rows: 2, hint: '{"content_type": "text/plain", "headers": {"n": 1}}' },
    { name: "persistent", label: "persistent", type: "checkbox", value: true },
  ].filter(Boolean), "Publish", typed => act(() => post(`exchanges/${place(vhost, exchange || "amq.default")}/publish`, {
    properties: { delivery_mode: typed.persistent ? 2 : 1, ...object(typed.properties, "Properties") },
    routing_key: key ?? typed.routing_key, payload: typed.payload, payload_encoding: "string",
  }), said => (said.routed ? "Published: the broker has it" : "Published, but nobody wanted it: no binding matches")))
}
