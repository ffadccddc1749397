// Users and what they may do.
import { get, place, put, remove } from "../api.js"
import { button, element, form, table } from "../dom.js"

export const users = {
  title: "Users",
  load: async () => {
    const [found, permissions] = await Promise.all([get("users"), get("permissions")])
    return { found, permissions }
  },
  show: ({ data: { found, permissions }, act }) => element("div", {},
    element("h2", {}, "Users"),
    table(`${found.length} users`, [
      { title: "Name", value: each => each.name },
      { title: "Tags", value: each => each.tags.join(", ") },
      { title: "Password", value: each => each.hashing_algorithm },
      { title: "", value: each => button("Delete", () => act(() => remove(`users/${place(each.name)}`), `Deleted ${each.name}`),
        `Delete user ${each.name}?`) },
    ], found),
    form("Add or change a user", [
      { name: "name", label: "Name", required: true },
      { name: "password", label: "Password", type: "password", required: true },
      { name: "tags", label: "Tags", hint: "monitoring" },
    ], "Save user", ({ name, password, tags }) => act(() => put(`users/${place(name)}`, { password, tags }), `User ${name} is saved`)),
    element("h2", {}, "Permissions"),
    table("What each may configure, write and read: regular expressions over names", [
      { title: "User", value: each => each.user },
      { title: "Vhost", value: each => each.vhost },
      { title: "Configure", value: each => each.configure },
      { title: "Write", value: each => each.write },
      { title: "Read", value: each => each.read },
      { title: "", value: each => button("Clear",
        () => act(() => remove(`permissions/${place(each.vhost, each.user)}`), "Cleared"), `Shut ${each.user} out of ${each.vhost}?`) },
    ], permissions),
    form("Set a permission", [
      { name: "user", label: "User", required: true },
      { name: "vhost", label: "Vhost", value: "/", required: true },
      { name: "configure", label: "Configure", value: ".*" },
      { name: "write", label: "Write", value: ".*" },
      { name: "read", label: "Read", value: ".*" },
    ], "Set permission", ({ user, vhost, ...rights }) =>
      act(() => put(`permissions/${place(vhost, user)}`, rights), `Permission of ${user} is set`))),
}
