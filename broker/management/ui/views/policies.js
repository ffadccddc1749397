// Policies and operator policies: set, changed, deleted.
import { get, place, put, remove } from "../api.js"
import { pairs } from "../pairs.js"
import { OPERATOR_POLICY_KEYS, POLICY_KEYS } from "../words.js"
import { code, button, formDialog, heading, section, sure, table } from "../widgets.js"

const KINDS = { policies: "Policies", "operator-policies": "Operator policies" }
const NEW = { policies: "New policy", "operator-policies": "New operator policy" }
const ABOUT = { policies: "Of those that match, the one of the highest priority applies", "operator-policies": "They apply on top, and only limit" }
const APPLY = ["all", "queues", "classic_queues", "quorum_queues", "exchanges"]

function set(kind, { attempt, scope }, each = {}) {
  const isNew = each.name === undefined
  const given = pairs("Definition", kind === "policies" ? POLICY_KEYS : OPERATOR_POLICY_KEYS, each.definition, "definition")
  formDialog(isNew ? NEW[kind] : `Change ${each.name}`, [
    { name: "name", label: "Name", required: true, value: each.name },
    { name: "vhost", label: "Vhost", value: each.vhost ?? (scope || "/"), required: true },
    { name: "pattern", label: "Pattern: a regular expression over names", value: each.pattern ?? ".*", required: true, wide: true },
    { name: "apply", label: "Applies to", options: APPLY, value: each["apply-to"] },
    { name: "priority", label: "Priority", type: "number", value: each.priority ?? 0 },
    { made: given },
  ], "Set policy", typed => attempt(() => put(`${kind}/${place(typed.vhost, typed.name)}`, { pattern: typed.pattern,
    definition: given.read(), priority: Number(typed.priority), "apply-to": typed.apply }), `Policy ${typed.name} is set`))
}

const refused = (kind, { may }) => may(kind === "policies" ? "policymaker" : "administrator")

export const policies = {
  title: "Policies",
  group: "Administration",
  load: async ({ scoped }) => Object.fromEntries(await Promise.all(Object.keys(KINDS).map(async kind => [kind, await get(scoped(kind))]))),
  show: here => [heading("Policies"), Object.entries(KINDS).map(([kind, title]) =>
    section(title, button(NEW[kind], () => set(kind, here), "primary", "", refused(kind, here)), table(ABOUT[kind], [
      { title: "Name", value: each => each.name },
      { title: "Vhost", value: each => each.vhost },
      { title: "Pattern", value: each => code(each.pattern) },
      { title: "Applies to", value: each => each["apply-to"] },
      { title: "Priority", value: each => each.priority },
      { title: "Definition", value: each => code(each.definition) },
      { title: "Actions", act: true, value: each => [button("Change", () => set(kind, here, each), "", `Change ${each.name}`, refused(kind, here)),
        button("Delete", () => sure(`Delete policy ${each.name}?`, "Delete policy",
          () => here.act(() => remove(`${kind}/${place(each.vhost, each.name)}`), `Deleted ${each.name}`)), "danger", `Delete ${each.name}`, refused(kind, here))] },
    ], here.data[kind], { key: each => `${each.vhost} ${each.name}`, nothing: `There are no ${title.toLowerCase()}.`,
      hint: "A policy sets limits, expiry and dead letters of queues and exchanges by their names, at once." })))],
}
