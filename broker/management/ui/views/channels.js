// Channels of AMQP and consumers of every protocol, of the whole broker; and one channel.
import { get, place } from "../api.js"
import { chart } from "../charts.js"
import { element, rate, text } from "../dom.js"
import { listed, listing } from "../listing.js"
import { sample, sampled } from "../samples.js"
import { back, facts, figures, heading, link, pill, section, table } from "../widgets.js"

const state = each => pill(each.state, each.state === "running" ? "good" : "warn")
const mode = each => [each.confirm && pill("confirms"), " ", each.transactional && pill("transactions")]
const prefetch = each => `${each.prefetch_count || "any"}${each.global_prefetch_count ? `, all: ${each.global_prefetch_count}` : ""}`

export const channels = {
  title: "Channels",
  group: "Broker",
  load: ({ query, scope }) => listed(scope ? `vhosts/${place(scope)}/channels` : "channels", query, "name"),
  show: here => [
    heading("Channels"),
    section("All channels", null, listing("channels", [
      { title: "Channel", sort: "name", value: each => link(`#channel/${place(each.name)}`, each.name) },
      { title: "User", sort: "user", value: each => each.user },
      { title: "Vhost", sort: "vhost", value: each => each.vhost },
      { title: "Mode", value: mode },
      { title: "State", sort: "state", value: state },
      { title: "Consumers", sort: "consumer_count", value: each => each.consumer_count },
      { title: "Prefetch", sort: "prefetch_count", number: true, value: prefetch },
      { title: "Unacked", sort: "messages_unacknowledged", value: each => each.messages_unacknowledged },
      { title: "Unconfirmed", sort: "messages_unconfirmed", value: each => each.messages_unconfirmed },
      { title: "Uncommitted", sort: "messages_uncommitted", value: each => each.messages_uncommitted },
      { title: "Published /s", sort: "message_stats.publish_details.rate", value: each => rate(each.message_stats, "publish") },
    ], here.data, { ...here, sort: "name", key: each => each.name, nothing: "There are no channels.", hint: "Clients of AMQP open channels in their connections." })),
  ],
}

export const channel = {
  title: "Channel",
  parent: "channels",
  load: async ({ parameters: [name] }) => {
    const found = await get(`channels/${place(name)}`)
    const consumers = found.consumer_details ?? []
    sample(`channel ${name}`, { unacked: found.messages_unacknowledged, unconfirmed: found.messages_unconfirmed })
    sample(`channel rates ${name}`, { published: rate(found.message_stats, "publish") })
    return { found, consumers }
  },
  show: ({ data: { found, consumers } }) => [
    back("#channels", "Channels"),
    heading(found.name, null, state(found), mode(found)),
    figures({ Unacked: found.messages_unacknowledged, Unconfirmed: found.messages_unconfirmed, Consumers: found.consumer_count, Prefetch: prefetch(found),
      "Published /s": rate(found.message_stats, "publish") }),
    element("div", { class: "charts" }, chart("Messages per second since this page was opened", sampled(`channel rates ${found.name}`)), chart("Waiting", sampled(`channel ${found.name}`))),
    section("Consumers", null, consumed(consumers, "What it consumes")),
    section("About it", null, facts({ Connection: link(`#connection/${place(found.connection_details.name)}`, found.connection_details.name), User: found.user, Vhost: found.vhost, Number: found.number,
      "Uncommitted messages": found.messages_uncommitted, "Uncommitted acknowledgements": found.acks_uncommitted })),
  ],
}

const queueOf = each => link(`#queue/${place(each.queue.vhost, each.queue.name)}`, each.queue.name)
const heldBy = each => (each.channel_details.connection_name ? link(`#channel/${place(each.channel_details.name)}`, each.channel_details.name) : "within the broker, or MQTT")
const columns = [
  { title: "Queue", sort: "queue.name", value: queueOf },
  { title: "Vhost", sort: "queue.vhost", value: each => each.queue.vhost },
  { title: "Tag", sort: "consumer_tag", value: each => each.consumer_tag },
  { title: "Channel", sort: "channel_details.name", value: heldBy },
  { title: "Acknowledges", sort: "ack_required", value: each => each.ack_required },
  { title: "Exclusive", sort: "exclusive", value: each => each.exclusive },
  { title: "Active", sort: "active", value: each => pill(each.active ? "active" : "stands by", each.active ? "good" : "") },
  { title: "Prefetch", sort: "prefetch_count", value: each => each.prefetch_count },
  { title: "Arguments", value: each => text(each.arguments) },
]

const consumed = (rows, caption) => table(caption, columns, rows, { nothing: "It consumes nothing.", key: each => `${each.queue.name} ${each.consumer_tag}` })

export const consumers = {
  title: "Consumers",
  group: "Broker",
  load: ({ query, scoped }) => listed(scoped("consumers"), query, "queue.name"),
  show: here => [
    heading("Consumers"),
    section("Who takes messages", null, listing("consumers", columns, here.data, { ...here, sort: "queue.name", by: "consumer tag",
      key: each => `${each.queue.vhost} ${each.queue.name} ${each.channel_details.name} ${each.consumer_tag}`, nothing: "Nobody consumes." })),
  ],
}
