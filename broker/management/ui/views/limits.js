// The limits of a user or a vhost.
import { place, put, remove } from "../api.js"
import { button, formDialog, section, table } from "../widgets.js"

export function limits(path, values, names, { act, attempt, may }) {
  const refused = may("administrator")
  const set = (name, value) => formDialog("Set limit", [
    { name: "name", label: "Limit", suggestions: names, value: name, required: true },
    { name: "value", label: "Value; -1: none", type: "number", value, required: true },
  ], "Set limit", typed => attempt(() => put(`${path}/${place(typed.name)}`, { value: Number(typed.value) }), `${typed.name} is set`))
  return section("Limits", button("Set limit", () => set(), "", "", refused), table("What is refused beyond", [
    { title: "Limit", value: ([name]) => name },
    { title: "Value", value: ([, value]) => value },
    { title: "Actions", act: true, value: ([name, value]) => [button("Change", () => set(name, value), "", `Change ${name}`, refused),
      button("Clear", () => act(() => remove(`${path}/${place(name)}`), `${name} is cleared`), "danger", `Clear ${name}`, refused)] },
  ], Object.entries(values), { key: ([name]) => name, nothing: "No limits." }))
}
