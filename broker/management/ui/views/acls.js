// Which topics clients of MQTT may publish and subscribe to: ordered rules, of which the first that fits decides.
import { get, place, post, put, remove } from "../api.js"
import { button, code, formDialog, heading, pill, section, sure, table } from "../widgets.js"

const where = vhost => `hubbub/mqtt/acls/${place(vhost)}`
const ACTIONS = [["all", "publish and subscribe"], ["publish", "publish"], ["subscribe", "subscribe"]]
const ABOUT = "The filter has + and # as a subscription's; %c stands for the client id, %u for the user."

export const acls = {
  title: "Access rules",
  group: "MQTT",
  tags: ["administrator"],
  load: ({ scope }) => (scope ? get(where(scope)).then(found => [found]) : get("hubbub/mqtt/acls")),
  show: here => [
    heading("MQTT access rules"),
    here.data.map(each => section(`Rules in ${each.vhost}`, button("New rule", () => add(each, here), "primary", `New rule in ${each.vhost}`),
      table(`The first rule that fits decides; where none does, the topic is ${each.default === "allow" ? "allowed" : "denied"}`, columns(each, here), each.rules,
        { key: rule => `${rule.number} ${rule.permission} ${rule.action} ${rule.topic} ${rule.user}`, nothing: `No rules: every topic is ${each.default === "allow" ? "allowed" : "denied"} (mqtt.acl_default).`,
          hint: "Rules hold on top of the permissions of users, and take effect on who is connected." }))),
  ],
}

function columns({ vhost, rules }, { act }) {
  const stored = rules.filter(each => each.number !== null)
  const moved = (rule, to) => act(() => {
    const order = stored.filter(each => each !== rule)
    order.splice(to, 0, rule)
    return put(where(vhost), { rules: order })
  }, "Moved")
  const at = rule => stored.indexOf(rule)
  return [
    { title: "", value: each => (each.number === null ? pill("from the configuration") : String(each.number)) },
    { title: "Permission", value: each => pill(each.permission, each.permission === "allow" ? "good" : "bad") },
    { title: "To", value: each => ACTIONS.find(([action]) => action === each.action)[1] },
    { title: "Topic", value: each => code(each.topic) },
    { title: "User", value: each => each.user ?? "everybody" },
    { title: "Actions", act: true, value: each => each.number !== null && [
      at(each) > 0 && button("↑", () => moved(each, at(each) - 1), "", `Move rule ${each.number} up`),
      at(each) < stored.length - 1 && button("↓", () => moved(each, at(each) + 1), "", `Move rule ${each.number} down`),
      button("Delete", () => sure(`Delete rule ${each.number} of ${vhost}, ${each.permission} ${each.topic}?`, "Delete rule",
        () => act(() => remove(`${where(vhost)}/${each.number}`), "Deleted")), "danger", `Delete rule ${each.number}`)].filter(Boolean) },
  ]
}

function add({ vhost }, { attempt }) {
  formDialog("New rule", [
    { name: "permission", label: "Permission", options: ["allow", "deny"] },
    { name: "action", label: "To", options: ACTIONS },
    { name: "topic", label: "Topic filter", required: true, wide: true, hint: "devices/%c/#" },
    { name: "user", label: "User; none: everybody" },
    { name: "number", label: "Before the rule; none: last", type: "number" },
  ], "Add rule", ({ user, number, ...rule }) => attempt(() => post(where(vhost), { ...rule, user: user || null, ...(number ? { number: Number(number) } : {}) }),
    "The rule is added"), ABOUT)
}
