// Virtual hosts, each a world of its own, with their limits.
import { get, place, put, remove } from "../api.js"
import { element, rate, text } from "../dom.js"
import { limits } from "./limits.js"
import { button, formDialog, heading, section, sure, table, back, figures, link } from "../widgets.js"

const LIMITS = ["max-connections", "max-queues", "max-messages-per-second", "max-bytes-per-second"]

export const vhosts = {
  title: "Vhosts",
  group: "Administration",
  load: async () => {
    const [found, limited] = await Promise.all([get("vhosts"), get("vhost-limits")])
    return found.map(each => ({ ...each, limits: limited.find(one => one.vhost === each.name)?.value ?? {} }))
  },
  show: here => [heading("Vhosts", button("New vhost", () => create(here), "primary")),
    section("All vhosts", null, table("Worlds that do not see each other", [
      { title: "Name", value: each => link(`#vhost/${place(each.name)}`, each.name) },
      { title: "Ready", value: each => each.messages_ready },
      { title: "Unacked", value: each => each.messages_unacknowledged },
      { title: "Published /s", value: each => rate(each.message_stats, "publish") },
      { title: "Delivered /s", value: each => rate(each.message_stats, "deliver_get") },
      { title: "Limits", value: each => text(each.limits) },
      { title: "Actions", act: true, value: each => button("Delete", () => del(each.name, here.act), "danger", `Delete ${each.name}`) },
    ], here.data, { key: each => each.name }))],
}

export const vhost = {
  title: "Vhost",
  parent: "vhosts",
  load: async ({ parameters: [name] }) => {
    const [found, limited] = await Promise.all([get(`vhosts/${place(name)}`), get(`vhost-limits/${place(name)}`)])
    return { found, limited: limited[0]?.value ?? {} }
  },
  show: here => {
    const { found, limited } = here.data
    return [back("#vhosts", "Vhosts"), heading(found.name, button("Delete", () => del(found.name, here.act, () => here.leave("#vhosts")), "danger")),
      figures({ Ready: found.messages_ready, Unacked: found.messages_unacknowledged, "Published /s": rate(found.message_stats, "publish"),
        "Delivered /s": rate(found.message_stats, "deliver_get") }),
      section("Firehose", button(found.tracing ? "Switch off" : "Switch on", () => here.act(() => put(`vhosts/${place(found.name)}`, { tracing: !found.tracing }),
        `The firehose is ${found.tracing ? "off" : "on"}`)), element("p", { class: "hint" }, found.tracing
        ? "Whatever is published and delivered here is published once more to amq.rabbitmq.trace: bind a queue to it. Payloads are in it."
        : "Switched on, it publishes whatever is published and delivered here once more to amq.rabbitmq.trace, as RabbitMQ does.")),
      limits(`vhost-limits/${place(found.name)}`, limited, LIMITS, here)]
  },
}

function create({ attempt }) {
  formDialog("New vhost", [{ name: "name", label: "Name", required: true, wide: true }], "Create", ({ name }) =>
    attempt(() => put(`vhosts/${place(name)}`, {}), `Vhost ${name} is there, and you may do everything in it`))
}

const del = (name, act, then) => sure(`Delete vhost ${name} with every queue, exchange and message in it? Its connections are closed.`, "Delete vhost",
  () => act(async () => { await remove(`vhosts/${place(name)}`); then?.() }, `Deleted ${name}`))
