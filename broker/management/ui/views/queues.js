// The queues, and one queue: its charts, ledger, bindings and messages.
import { get, place, post, put, remove } from "../api.js"
import { chart, sample } from "../charts.js"
import { button, element, figures, form, table } from "../dom.js"

const PAGE_SIZE = 100
let filter = ""
let page = 1

function listed(values, act) {
  const { vhost, name, durable, auto_delete, args } = values
  return act(async () => put(`queues/${place(vhost, name)}`, { durable, auto_delete, arguments: JSON.parse(args || "{}") }),
    `Queue ${name} is declared`)
}

export const queues = {
  title: "Queues",
  load: () => get(`queues?page=${page}&page_size=${PAGE_SIZE}&sort=name&name=${encodeURIComponent(filter)}`)
    .catch(error => { if (page === 1) throw error; page = 1; return queues.load() }),
  show: ({ data, act }) => element("div", {},
    element("h2", {}, "Queues"),
    form("Find queues", [{ name: "name", label: "Name contains", type: "search", value: filter }], "Find", values => {
      filter = values.name
      page = 1
      act(async () => null, "")
    }),
    table(`${data.filtered_count} of ${data.total_count} queues, page ${data.page} of ${data.page_count}`, [
      { title: "Vhost", value: each => each.vhost },
      { title: "Name", value: each => element("a", { href: `#queue/${place(each.vhost, each.name)}` }, each.name) },
      { title: "Type", value: each => each.type },
      { title: "Policy", value: each => each.policy },
      { title: "Ready", value: each => each.messages_ready },
      { title: "Unacked", value: each => each.messages_unacknowledged },
      { title: "Consumers", value: each => each.consumers },
      { title: "In, /s", value: each => each.message_stats.publish_details.rate },
      { title: "Out, /s", value: each => each.message_stats.deliver_get_details.rate },
    ], data.items),
    element("p", {},
      data.page > 1 && button("Previous page", () => { page -= 1; act(async () => null, "") }),
      data.page < data.page_count && button("Next page", () => { page += 1; act(async () => null, "") })),
    element("details", { id: "declare-queue" }, element("summary", {}, "Declare a queue"),
      form("Declare a queue", [
        { name: "vhost", label: "Vhost", value: "/", required: true },
        { name: "name", label: "Name", required: true },
        { name: "durable", label: "durable", type: "checkbox", value: true },
        { name: "auto_delete", label: "auto-delete", type: "checkbox" },
        { name: "args", label: "Arguments, JSON", hint: '{"x-max-length": 1000}' },
      ], "Declare", values => listed(values, act)))),
}

export const queue = {
  title: "Queue",
  parent: queues,
  load: async (vhost, name) => {
    const where = `queues/${place(vhost, name)}`
    const [found, bindings] = await Promise.all([get(where), get(`${where}/bindings`)])
    const rate = word => found.message_stats[`${word}_details`].rate
    sample(`depth ${where}`, { ready: found.messages_ready, unacked: found.messages_unacknowledged })
    sample(`rates ${where}`, { published: rate("publish"), delivered: rate("deliver_get"), acknowledged: rate("ack") })
    return { found, bindings, where }
  },
  show: ({ data: { found, bindings, where }, act }) => element("div", {},
    element("h2", {}, `Queue ${found.name} in ${found.vhost}`),
    figures({
      Type: found.type, Durable: found.durable, Policy: found.policy ?? "none", Ready: found.messages_ready,
      Unacked: found.messages_unacknowledged, Consumers: found.consumers, "Bytes ready": found.message_bytes_ready,
      Unaccounted: found.hubbub.ledger.unaccounted,
    }),
    element("div", { class: "charts" }, chart("Messages", `depth ${where}`), chart("Per second", `rates ${where}`)),
    element("p", {},
      button("Purge", () => act(() => remove(`${where}/contents`), "Purged"), `Remove every ready message of ${found.name}?`), " ",
      button("Delete", () => act(async () => { await remove(where); location.hash = "#queues" }, `Deleted ${found.name}`),
        `Delete ${found.name} with all that is in it?`)),
    element("details", { id: "messages" }, element("summary", {}, "Look at messages"), messages(where, act)),
    element("details", { id: "publish" }, element("summary", {}, "Publish to this queue"),
      form("Publish a message", [
        { name: "payload", label: "Payload", type: "area" },
        { name: "persistent", label: "persistent", type: "checkbox", value: true },
      ], "Publish", values => act(() => post(`exchanges/${place(found.vhost, "amq.default")}/publish`, {
        properties: { delivery_mode: values.persistent ? 2 : 1 }, routing_key: found.name, payload: values.payload,
        payload_encoding: "string" }), "Published: the broker has it"))),
    table("Bindings", [
      { title: "Exchange", value: each => each.source || "(nameless)" },
      { title: "Routing key", value: each => each.routing_key },
      { title: "Arguments", value: each => each.arguments },
    ], bindings),
    table("Consumers", [
      { title: "Tag", value: each => each.consumer_tag },
      { title: "Channel", value: each => each.channel_details.name },
      { title: "Acknowledges", value: each => each.ack_required },
      { title: "Prefetch", value: each => each.prefetch_count },
    ], found.consumer_details),
    table("Ledger", [
      { title: "What happened", value: ([word]) => word.replaceAll("_", " ") },
      { title: "Messages", value: ([, count]) => count },
    ], Object.entries(found.hubbub.ledger).filter(([, count]) => count)),
    table("Arguments", [
      { title: "Name", value: ([word]) => word }, { title: "Value", value: ([, value]) => String(value) },
    ], Object.entries(found.arguments))),
}

function messages(where, act) {
  const list = element("div", { id: "seen", "aria-live": "polite" })
  const look = form("Look at messages", [
    { name: "count", label: "How many", type: "number", value: 10 },
    { name: "keep", label: "leave them in the queue", type: "checkbox", value: true },
  ], "Get", async values => {
    const seen = await act(() => post(`${where}/get`, { count: Number(values.count), encoding: "auto",
      ackmode: values.keep ? "ack_requeue_true" : "ack_requeue_false" }), found => `${found.length} messages`)
    document.getElementById("seen")?.replaceChildren(table("Messages", [
      { title: "Exchange", value: each => each.exchange || "(nameless)" },
      { title: "Routing key", value: each => each.routing_key },
      { title: "Redelivered", value: each => each.redelivered },
      { title: "Properties", value: each => each.properties },
      { title: "Payload", value: each => element("pre", {}, each.payload) },
    ], seen ?? [], "the queue is empty"))
  })
  return element("div", {}, look, list)
}
