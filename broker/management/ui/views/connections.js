// Connections of every protocol in one list, and one connection: its traffic, channels, consumers, subscriptions.
import { get, known, place, remove } from "../api.js"
import { chart } from "../charts.js"
import { bytes, element, moment, rate } from "../dom.js"
import { listed, listing } from "../listing.js"
import { sample, sampled } from "../samples.js"
import { back, button, facts, figures, formDialog, heading, link, pill, section, table } from "../widgets.js"

const perSecond = value => `${bytes(value)}/s`
const where = name => `connections/${place(name)}`
const state = each => (each.hubbub?.is_slow ? pill("reads slowly", "warn") : pill(each.state, each.state === "running" ? "good" : "warn"))
const mayClose = (each, { may, who }) => (each.user === who.name ? undefined : may("administrator"))

// The client hears the reason: AMQP in connection.close, MQTT 5 and WebSocket where they have a word for it.
function close(name, { attempt }, then) {
  formDialog("Close connection", [
    { name: "reason", label: "Reason, for its owner", value: "Closed by an operator", wide: true },
  ], "Close connection", ({ reason }) => attempt(async () => { await remove(where(name), { "X-Reason": printable(reason) }); then?.() }, `Closed ${name}`), `${name} is closed. Most clients come back by themselves.`)
}

// What a header may hold.
const printable = words => words.replace(/[^\x20-\x7e]/g, "?")

export const connections = {
  title: "Connections",
  group: "Broker",
  load: ({ query, scope }) => listed(scope ? `vhosts/${place(scope)}/connections` : "connections", query, "name"),
  show: here => [
    heading("Connections"),
    section("Who is connected", null, listing("connections", [
      { title: "Name", sort: "name", value: each => link(`#connection/${place(each.name)}`, each.name) },
      { title: "Protocol", sort: "protocol", value: each => each.protocol + (each.ssl ? " over TLS" : "") },
      { title: "Client", value: each => each.hubbub.client_id || each.client_properties.connection_name || each.client_properties.product || "" },
      { title: "User", sort: "user", value: each => each.user },
      { title: "Vhost", sort: "vhost", value: each => each.vhost },
      { title: "State", sort: "state", value: state },
      { title: "Channels", sort: "channels", value: each => each.channels },
      { title: "In", sort: "recv_oct_details.rate", number: true, value: each => perSecond(rate(each, "recv_oct")) },
      { title: "Out", sort: "send_oct_details.rate", number: true, value: each => perSecond(rate(each, "send_oct")) },
      { title: "Actions", act: true, value: each => button("Close", () => close(each.name, here), "", `Close ${each.name}`, mayClose(each, here)) },
    ], here.data, { ...here, sort: "name", key: each => each.name, nothing: "Nobody is connected.",
      hint: "Clients of AMQP, MQTT and WebSocket appear here as soon as they have logged in." })),
  ],
}

export const connection = {
  title: "Connection",
  parent: "connections",
  load: async ({ parameters: [name] }) => {
    const found = await get(where(name))
    sample(`traffic ${name}`, { in: rate(found, "recv_oct"), out: rate(found, "send_oct") })
    const client = found.hubbub.client_id
    const channels = await get(`${where(name)}/channels`)
    const consumes = channels.some(each => each.consumer_count)
    const [consumers, session] = await Promise.all([
      consumes ? get(`consumers/${place(found.vhost)}`).then(all => all.filter(each => each.channel_details.connection_name === name)) : [],
      client ? known(`hubbub/mqtt/sessions/${place(found.vhost, client)}`, null) : null,
    ])
    return { found, channels, consumers, session }
  },
  show: here => {
    const { found, channels, consumers, session } = here.data
    return [
    back("#connections", "Connections"),
    heading(found.name, button("Close connection", () => close(found.name, here, () => here.leave("#connections")), "danger", "", mayClose(found, here)), state(found)),
    figures({ Protocol: found.protocol, User: found.user, Vhost: found.vhost, Channels: found.channels,
      Received: bytes(found.recv_oct), Sent: bytes(found.send_oct) }),
    element("div", { class: "charts" }, chart("Traffic since this page was opened", sampled(`traffic ${found.name}`), perSecond)),
    session && subscriptions(found, session),
    channels.length > 0 && section("Channels", null, table("What it has opened", [
      { title: "Number", value: each => link(`#channel/${place(each.name)}`, each.number), number: true },
      { title: "State", value: state },
      { title: "Confirms", value: each => each.confirm },
      { title: "Prefetch", value: each => each.prefetch_count },
      { title: "Consumers", value: each => each.consumer_count },
      { title: "Unacked", value: each => each.messages_unacknowledged },
      { title: "Unconfirmed", value: each => each.messages_unconfirmed },
      { title: "Published /s", value: each => rate(each.message_stats, "publish") },
    ], channels, { key: each => each.name })),
    consumers.length > 0 && section("Consumers", null, table("What it consumes", [
      { title: "Tag", value: each => each.consumer_tag },
      { title: "Queue", value: each => link(`#queue/${place(each.queue.vhost, each.queue.name)}`, each.queue.name) },
      { title: "Channel", value: each => each.channel_details.number },
      { title: "Acknowledges", value: each => each.ack_required },
      { title: "Prefetch", value: each => each.prefetch_count },
      { title: "Active", value: each => each.active },
    ], consumers, { key: each => `${each.queue.name} ${each.consumer_tag}` })),
    section("About it", null, facts({
      Since: moment(found.connected_at), Peer: `${found.peer_host}:${found.peer_port}`, "Over TLS": found.ssl,
      "Logged in by": found.auth_mechanism, "Heartbeat": found.timeout ? `${found.timeout} s` : "", "Frames up to": found.frame_max ? bytes(found.frame_max) : "",
      "Client id": found.hubbub.client_id, "Keep-alive": found.hubbub.keep_alive_s ? `${found.hubbub.keep_alive_s} s` : "",
      ...Object.fromEntries(Object.entries(found.client_properties).filter(([, value]) => typeof value !== "object")),
    })),
    ]
  },
}

function subscriptions(found, session) {
  return section("Subscriptions", link(`#session/${place(found.vhost, session.client_id)}`, "The session"), table("Topic filters", [
    { title: "Topic filter", value: each => each.topic_filter },
    { title: "QoS", value: each => each.qos },
    { title: "Shared as", value: each => each.share_name },
  ], session.subscriptions, { key: each => each.topic_filter, nothing: "It subscribes to nothing." }))
}
