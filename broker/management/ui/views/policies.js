// Policies and operator policies.
import { get, place, put, remove } from "../api.js"
import { button, element, form, table } from "../dom.js"

const KINDS = { policies: "Policies", "operator-policies": "Operator policies" }

export const policies = {
  title: "Policies",
  load: async () => Object.fromEntries(await Promise.all(Object.keys(KINDS).map(async kind => [kind, await get(kind)]))),
  show: ({ data, act }) => element("div", {},
    Object.entries(KINDS).flatMap(([kind, title]) => [
      element("h2", {}, title),
      table(`Of those that match, the one of the highest priority applies`, [
        { title: "Vhost", value: each => each.vhost },
        { title: "Name", value: each => each.name },
        { title: "Pattern", value: each => each.pattern },
        { title: "Applies to", value: each => each["apply-to"] },
        { title: "Priority", value: each => each.priority },
        { title: "Definition", value: each => each.definition },
        { title: "", value: each => button("Delete",
          () => act(() => remove(`${kind}/${place(each.vhost, each.name)}`), `Deleted ${each.name}`), `Delete policy ${each.name}?`) },
      ], data[kind]),
    ]),
    form("Set a policy", [
      { name: "kind", label: "Kind", options: Object.keys(KINDS) },
      { name: "vhost", label: "Vhost", value: "/", required: true },
      { name: "name", label: "Name", required: true },
      { name: "pattern", label: "Pattern", value: ".*", required: true },
      { name: "apply", label: "Applies to", options: ["all", "queues", "classic_queues", "quorum_queues", "exchanges"] },
      { name: "priority", label: "Priority", type: "number", value: 0 },
      { name: "definition", label: "Definition, JSON", hint: '{"max-length": 1000}', required: true },
    ], "Set policy", values => act(async () => put(`${values.kind}/${place(values.vhost, values.name)}`, {
      pattern: values.pattern, definition: JSON.parse(values.definition), priority: Number(values.priority),
      "apply-to": values.apply }), `Policy ${values.name} is set`))),
}
