// Users, and one user: tags, password, what it may do, its limits.
import { get, place, put, remove } from "../api.js"
import { element, text } from "../dom.js"
import { limits } from "./limits.js"
import { back, button, code, formDialog, heading, link, pill, section, sure, table } from "../widgets.js"

const TAGS = "administrator: everything; monitoring: sees everything; policymaker: policies of its vhosts; management: its own vhosts and connections; none: no login here"
const tagged = each => element("span", {}, each.tags.map(tag => [pill(tag), " "]))

function save({ attempt }, each = {}) {
  formDialog(each.name === undefined ? "New user" : `Change ${each.name}`, [
    each.name === undefined && { name: "name", label: "Name", required: true, wide: true },
    { name: "password", label: each.name === undefined ? "Password" : "Password; none: it stays", type: "password", required: each.name === undefined,
      autocomplete: "new-password", wide: true },
    { name: "tags", label: "Tags", hint: "monitoring", value: each.tags?.join(", "), wide: true, about: TAGS },
  ].filter(Boolean), "Save user", ({ name = each.name, password, tags }) =>
    attempt(() => put(`users/${place(name)}`, { tags, ...(password ? { password } : {}) }), `User ${name} is saved`))
}

const del = (name, act, then) => sure(`Delete user ${name}? Its connections are closed.`, "Delete user",
  () => act(async () => { await remove(`users/${place(name)}`); then?.() }, `Deleted ${name}`))

export const users = {
  title: "Users",
  group: "Administration",
  tags: ["administrator"],
  load: async () => {
    const [found, permissions] = await Promise.all([get("users"), get("permissions")])
    return found.map(each => ({ ...each, vhosts: permissions.filter(one => one.user === each.name).map(one => one.vhost) }))
  },
  show: here => [heading("Users", button("New user", () => save(here), "primary")),
    section("All users", null, table("Who may log in", [
      { title: "Name", value: each => link(`#user/${place(each.name)}`, each.name) },
      { title: "Tags", value: tagged },
      { title: "Vhosts", value: each => each.vhosts.join(", ") || pill("none", "warn") },
      { title: "Password hash", value: each => each.hashing_algorithm },
      { title: "Limits", value: each => text(each.limits) },
      { title: "Actions", act: true, value: each => [button("Change", () => save(here, each), "", `Change ${each.name}`),
        button("Delete", () => del(each.name, here.act), "danger", `Delete ${each.name}`)] },
    ], here.data, { key: each => each.name }))],
}

export const user = {
  title: "User",
  parent: "users",
  tags: ["administrator"],
  load: async ({ parameters: [name] }) => {
    const [found, permissions, topics] = await Promise.all([get(`users/${place(name)}`), get(`users/${place(name)}/permissions`),
      get(`users/${place(name)}/topic-permissions`)])
    return { found, permissions, topics }
  },
  show: here => {
    const { found, permissions, topics } = here.data
    return [back("#users", "Users"),
      heading(found.name, [button("Change", () => save(here, found)), button("Delete", () => del(found.name, here.act, () => here.leave("#users")), "danger")], tagged(found)),
      section("Permissions", button("Set permission", () => permit(here)), table("Regular expressions over the names of queues and exchanges", [
        { title: "Vhost", value: each => each.vhost },
        { title: "Configure", value: each => code(each.configure) },
        { title: "Write", value: each => code(each.write) },
        { title: "Read", value: each => code(each.read) },
        { title: "Actions", act: true, value: each => [button("Change", () => permit(here, each), "", `Change permission in ${each.vhost}`),
          button("Clear", () => sure(`Shut ${found.name} out of ${each.vhost}?`, "Clear permission",
            () => here.act(() => remove(`permissions/${place(each.vhost, found.name)}`), "Cleared")), "danger", `Clear permission in ${each.vhost}`)] },
      ], permissions, { key: each => each.vhost, nothing: "It may enter no vhost." })),
      section("Topic permissions", button("Set topic permission", () => permitTopic(here)), table("Regular expressions over the routing keys of a topic exchange", [
        { title: "Vhost", value: each => each.vhost },
        { title: "Exchange", value: each => each.exchange },
        { title: "Write", value: each => code(each.write) },
        { title: "Read", value: each => code(each.read) },
        { title: "Actions", act: true, value: each => [button("Change", () => permitTopic(here, each), "", `Change topic permission for ${each.exchange}`), button("Clear", () => here.act(() =>
          remove(`topic-permissions/${place(each.vhost, found.name, each.exchange)}`), "Cleared"), "danger", `Clear topic permission for ${each.exchange}`)] },
      ], topics, { key: each => `${each.vhost} ${each.exchange}`, nothing: "Every routing key is allowed where the permissions allow the exchange." })),
      limits(`user-limits/${place(found.name)}`, found.limits, ["max-connections", "max-channels", "max-messages-per-second", "max-bytes-per-second"], here),
    ]
  },
}

function permit({ data: { found }, attempt, scope }, each = {}) {
  formDialog(`Permission of ${found.name}`, [
    { name: "vhost", label: "Vhost", value: each.vhost ?? (scope || "/"), required: true, wide: true },
    { name: "configure", label: "Configure: declare and delete", value: each.configure ?? ".*", wide: true },
    { name: "write", label: "Write: publish and bind to", value: each.write ?? ".*", wide: true },
    { name: "read", label: "Read: consume and bind from", value: each.read ?? ".*", wide: true },
  ], "Set permission", ({ vhost, ...rights }) => attempt(() => put(`permissions/${place(vhost, found.name)}`, rights), `Permission of ${found.name} is set`))
}

function permitTopic({ data: { found }, attempt, scope }, each = {}) {
  formDialog(`Topic permission of ${found.name}`, [
    { name: "vhost", label: "Vhost", value: each.vhost ?? (scope || "/"), required: true },
    { name: "exchange", label: "Exchange", value: each.exchange ?? "amq.topic", required: true },
    { name: "write", label: "Write: publish with these keys", value: each.write ?? ".*", wide: true },
    { name: "read", label: "Read: bind with these keys", value: each.read ?? ".*", wide: true },
  ], "Set topic permission", ({ vhost, ...rights }) => attempt(() => put(`topic-permissions/${place(vhost, found.name)}`, rights),
    `Topic permission of ${found.name} is set`), "{username}, {vhost} and {client_id} stand for who acts.")
}
