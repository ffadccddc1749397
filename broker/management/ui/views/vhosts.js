// Virtual hosts, each a world of its own, with their limits.
import { get, place, put, remove } from "../api.js"
import { element, rate, text } from "../dom.js"
import { limits } from "./limits.js"
import { back, button, code, figures, formDialog, heading, link, pill, section, sure, table } from "../widgets.js"

const LIMITS = ["max-connections", "max-queues", "max-messages-per-second", "max-bytes-per-second"]

export const vhosts = {
  title: "Vhosts",
  group: "Administration",
  load: async () => {
    const [found, limited] = await Promise.all([get("vhosts"), get("vhost-limits")])
    return found.map(each => ({ ...each, limits: limited.find(one => one.vhost === each.name)?.value ?? {} }))
  },
  show: here => [heading("Vhosts", button("New vhost", () => save(here), "primary", "", here.may("administrator"))),
    section("All vhosts", null, table("Worlds that do not see each other", [
      { title: "Name", value: each => link(`#vhost/${place(each.name)}`, each.name) },
      { title: "Description", value: each => [each.description, " ", each.tags.map(tag => [pill(tag), " "])] },
      { title: "Ready", value: each => each.messages_ready },
      { title: "Unacked", value: each => each.messages_unacknowledged },
      { title: "Published /s", value: each => rate(each.message_stats, "publish") },
      { title: "Delivered /s", value: each => rate(each.message_stats, "deliver_get") },
      { title: "Limits", value: each => text(each.limits) },
      { title: "Actions", act: true, value: each => button("Delete", () => del(each.name, here.act), "danger", `Delete ${each.name}`, here.may("administrator")) },
    ], here.data, { key: each => each.name }))],
}

export const vhost = {
  title: "Vhost",
  parent: "vhosts",
  load: async ({ parameters: [name], who }) => {
    const mine = who.tags.includes("administrator")
    const [found, limited, permissions, topics] = await Promise.all([get(`vhosts/${place(name)}`), get(`vhost-limits/${place(name)}`),
      mine && get(`vhosts/${place(name)}/permissions`), mine && get(`vhosts/${place(name)}/topic-permissions`)])
    return { found, limited: limited[0]?.value ?? {}, permissions, topics }
  },
  show: here => {
    const { found, limited, permissions, topics } = here.data
    const refused = here.may("administrator")
    return [back("#vhosts", "Vhosts"), heading(found.name, [button("Change", () => save(here, found), "", "", refused),
      button("Delete", () => del(found.name, here.act, () => here.leave("#vhosts")), "danger", "", refused)], found.tags.map(tag => pill(tag)), found.description && element("span", { class: "hint" }, found.description)),
      figures({ Ready: found.messages_ready, Unacked: found.messages_unacknowledged, "Published /s": rate(found.message_stats, "publish"),
        "Delivered /s": rate(found.message_stats, "deliver_get") }),
      section("Firehose", button(found.tracing ? "Switch off" : "Switch on", () => here.act(() => put(`vhosts/${place(found.name)}`, { tracing: !found.tracing }),
        `The firehose is ${found.tracing ? "off" : "on"}`), "", "", refused), element("p", { class: "hint" }, found.tracing
        ? "Whatever is published and delivered here is published once more to amq.rabbitmq.trace: bind a queue to it. Payloads are in it."
        : "Switched on, it publishes whatever is published and delivered here once more to amq.rabbitmq.trace, as RabbitMQ does.")),
      permissions && section("Permissions", link("#users", "Users"), table("Who may do what here", [
        { title: "User", value: each => link(`#user/${place(each.user)}`, each.user) },
        { title: "Configure", value: each => code(each.configure) },
        { title: "Write", value: each => code(each.write) },
        { title: "Read", value: each => code(each.read) },
      ], permissions, { key: each => each.user, nothing: "Nobody may enter it." })),
      topics?.length > 0 && section("Topic permissions", null, table("By routing key", [
        { title: "User", value: each => link(`#user/${place(each.user)}`, each.user) },
        { title: "Exchange", value: each => each.exchange },
        { title: "Write", value: each => code(each.write) },
        { title: "Read", value: each => code(each.read) },
      ], topics, { key: each => `${each.user} ${each.exchange}` })),
      limits(`vhost-limits/${place(found.name)}`, limited, LIMITS, here)]
  },
}

function save({ attempt }, each = {}) {
  const isNew = each.name === undefined
  formDialog(isNew ? "New vhost" : `Change ${each.name}`, [
    isNew && { name: "name", label: "Name", required: true, wide: true },
    { name: "description", label: "Description", value: each.description, wide: true },
    { name: "tags", label: "Tags", value: each.tags?.join(", "), hint: "production", wide: true },
  ].filter(Boolean), isNew ? "Create" : "Save", ({ name = each.name, description, tags }) => attempt(() => put(`vhosts/${place(name)}`, { description, tags }),
    isNew ? `Vhost ${name} is there, and you may do everything in it` : `Vhost ${name} is saved`))
}

const del = (name, act, then) => sure(`Delete vhost ${name} with every queue, exchange and message in it? Its connections are closed.`, "Delete vhost",
  () => act(async () => { await remove(`vhosts/${place(name)}`); then?.() }, `Deleted ${name}`))
