// Where did my message go? Messages that a filter chooses are followed, and what happens to each is shown as it happens.
import { get, post, remove } from "../api.js"
import { bytes, duration, element, plural, text } from "../dom.js"
import { back, button, code, empty, figures, form, heading, link, pill, section, sure, table } from "../widgets.js"

const EVENTS_MAX = 500
const CLOCK = { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }
const FILTERS = ["exchange", "queue", "user", "client", "topic", "routing_key"]
const GOOD = ["acknowledged", "delivered"]
const BAD = ["dropped", "refused", "rejected", "expired", "dead-lettered", "purged"]
const where = number => `hubbub/traces/${number}`
const may = who => who.tags.includes("administrator")

export const trace = {
  title: "Trace",
  group: "Tools",
  tags: ["administrator", "monitoring"],
  load: () => get("hubbub/traces"),
  show: here => [
    heading("Trace"),
    may(here.who) && section("Follow messages", null, begin(here)),
    section("Traces", null, table(plural(here.data.length, "trace"), [
      { title: "Trace", value: each => link(`#traced/${each.id}`, `#${each.id}`) },
      { title: "Follows", value: each => code(wanted(each)) },
      { title: "Vhost", value: each => each.vhost },
      { title: "State", value: state },
      { title: "Messages", value: each => each.messages },
      { title: "Events", value: each => each.event_count },
      { title: "Actions", act: true, value: each => may(here.who) && button("Delete", () => del(each.id, here.act), "danger", `Delete trace ${each.id}`) },
    ], here.data.toReversed(), { key: each => String(each.id), nothing: "Nothing is traced.",
      hint: "A trace follows messages through every queue and into dead letters. While none runs it costs nothing." })),
  ],
}

const del = (number, act, then) => sure(`Delete trace ${number}? What it noted is gone.`, "Delete trace",
  () => act(async () => { await remove(where(number)); then?.() }, `Trace ${number} is deleted`))

function begin({ act, leave, scope }) {
  return form("Follow messages", [
    { name: "vhost", label: "Vhost", value: scope || "/", required: true },
    { name: "exchange", label: "Published to the exchange" },
    { name: "queue", label: "In the queue" },
    { name: "topic", label: "MQTT topic filter", hint: "plant/+/alarm" },
    { name: "routing_key", label: "… or routing key", hint: "order.#" },
    { name: "user", label: "User" },
    { name: "client", label: "Client id or connection" },
    { name: "messages_max", label: "Messages, at most", type: "number", value: 100, required: true },
    { name: "seconds", label: "Seconds, at most", type: "number", value: 60, required: true },
  ], "Start", ({ vhost, messages_max, seconds, ...filter }) => act(async () => {
    const named = Object.fromEntries(Object.entries(filter).filter(([, value]) => value))
    const begun = await post("hubbub/traces", { vhost, messages_max: Number(messages_max), seconds: Number(seconds), ...named })
    leave(`#traced/${begun.id}`)
  }, "The trace runs"))
}

function wanted(each) {
  const named = FILTERS.filter(name => each.filter[name]).map(name => `${name} ${each.filter[name]}`)
  return named.join(", ") || "whatever comes"
}

const left = each => Math.max(0, Math.round((each.ends_at - Date.now()) / 1000))
const state = each => (each.running ? pill(`runs, ${duration(left(each))} left`, "good") : pill("ended"))

export const traced = {
  title: "Trace",
  parent: "trace",
  every: 1000,
  load: async ({ parameters: [number] }) => {
    const { event_count } = await get(`${where(number)}?count=1`)
    return get(`${where(number)}?after=${Math.max(0, event_count - EVENTS_MAX)}&count=${EVENTS_MAX}`)
  },
  show: ({ data, act, leave, who }) => {
    const messages = new Map()
    for (const event of data.events) messages.set(event.message, [...messages.get(event.message) ?? [], event])
    const missing = data.event_count - data.events.length
    return [
      back("#trace", "Traces"),
      heading(`Trace #${data.id}`, may(who) && button("Delete", () => del(data.id, act, () => leave("#trace")), "danger"), state(data), code(wanted(data))),
      figures({ Messages: `${text(data.messages)} of ${text(data.messages_max)}`, Events: data.event_count, "Passed over": data.passed_over, Vhost: data.vhost }),
      section("What happened", null,
        messages.size ? element("ol", { class: "traced" }, [...messages].reverse().map(followed))
          : empty(data.running ? "No message yet." : "No message came.", data.running ? "Publish one: it appears here by itself." : ""),
        missing > 0 && element("p", { class: "hint" }, `${plural(missing, "earlier event")} ${missing === 1 ? "is" : "are"} not shown.`)),
    ]
  },
}

function followed([number, events]) {
  const [first] = events
  return element("li", { class: "message", "data-key": String(number) },
    element("p", {}, element("strong", {}, number ? `#${number}` : "of a queue"), " ", first.exchange || first.routing_key ? [first.exchange || "(nameless)", " → ", code(first.routing_key), " "] : "",
      number > 0 && pill(bytes(first.payload_bytes))),
    element("ol", { class: "steps" }, events.map(step)))
}

function step(event) {
  const kind = GOOD.includes(event.event) ? "good" : BAD.includes(event.event) ? "bad" : ""
  const who = [event.client_id || event.connection, event.user].filter(Boolean).join(", as ")
  const delivered = event.event === "delivered"
  const to = [
    event.queue && `${delivered ? "from" : "in"} ${event.queue}`,
    event.to_exchange && `to ${event.to_exchange}`,
    event.event === "published" && (event.routed_to.length ? `→ ${event.routed_to.join(", ")}` : "→ nobody"),
    event.redelivered && "again",
    event.reason && `(${event.reason})`,
    who && `${delivered ? "to" : "by"} ${who}`,
  ]
  return element("li", { "data-key": String(event.number) }, element("time", {}, new Date(event.at).toLocaleTimeString("en", CLOCK)),
    " ", pill(event.event, kind), " ", to.filter(Boolean).join(" "))
}
