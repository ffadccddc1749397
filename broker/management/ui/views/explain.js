// What would become of a message, and why: the rules that are asked, the bindings, who would get it and who would not.
// Nothing is published. The question stands in the page's address.
import { object, place, post, Refused } from "../api.js"
import { duration, element, plural, text } from "../dom.js"
import { code, empty, facts, form, heading, link, pill, section, table } from "../widgets.js"

const KINDS = { allows: "good", refuses: "bad", delivered: "good", waits: "warn", nothing: "bad" }
const PAGES = { queue: "queue", exchange: "exchange", session: "session" }
const BINDINGS_MAX = 200
const verdict = word => pill(word, KINDS[word])
const isAsked = query => query.topic || query.exchange !== undefined

export const explain = {
  title: "Explain",
  group: "Tools",
  every: 10_000,
  load: async ({ query }) => {
    if (!isAsked(query)) return {}
    try {
      return { found: await post("hubbub/explain", question(query)) }
    } catch (refusal) {
      if (refusal instanceof Refused) return { refusal }
      throw refusal
    }
  },
  show: ({ data, query, go, who, scope }) => [
    heading("Explain", null, data.found && conclusion(data.found)),
    section("What if somebody published…", null, asking(query, go, who, scope)),
    data.refusal && section("It cannot be asked", null, element("p", { class: "refusal" }, data.refusal.message)),
    data.found ? answered(data.found)
      : !data.refusal && empty("Ask where a message would go.", "Every rule that is tried, every binding, who would get it, and why the others would not. Nothing is published."),
  ],
}

function question({ vhost, user, topic, client, qos, retain, exchange, key, properties }) {
  const common = { vhost, user }
  if (topic) return { ...common, protocol: "mqtt", topic, client_id: client ?? "", qos: Number(qos ?? 0), retain: Boolean(retain) }
  return { ...common, protocol: "amqp", exchange, routing_key: key ?? "", properties: object(properties ?? "", "Properties") }
}

function asking(query, go, who, scope) {
  const as = [
    { name: "user", label: "As the user", value: query.user ?? who.name, required: true },
    { name: "vhost", label: "Vhost", value: query.vhost ?? (scope || "/"), required: true },
  ]
  return element("div", { class: "columns" },
    element("div", {}, element("h3", {}, "over MQTT"), form("Explain MQTT", [...as,
      { name: "topic", label: "Topic", value: query.topic, required: true, hint: "home/kitchen" },
      { name: "client", label: "Client id", value: query.client },
      { name: "qos", label: "QoS", options: ["0", "1", "2"], value: query.qos },
      { name: "retain", label: "retain", type: "checkbox", value: Boolean(query.retain) },
    ], "Explain", ({ retain, ...asked }) => go({ ...asked, retain: retain ? "true" : undefined }))),
    element("div", {}, element("h3", {}, "over AMQP"), form("Explain AMQP", [...as,
      { name: "exchange", label: "Exchange", value: query.exchange ?? "", hint: "amq.default" },
      { name: "key", label: "Routing key", value: query.key },
      { name: "properties", label: "Properties, JSON", value: query.properties, hint: '{"headers": {"n": 1}}' },
    ], "Explain", asked => go({ ...asked, exchange: asked.exchange || "amq.default" }))))
}

function conclusion(found) {
  if (!found.allowed) return pill("it may not be published", "bad")
  return found.targets.length ? pill(`${found.targets.length} would get it`, "good") : pill("nobody would get it", "warn")
}

function answered(found) {
  return [
    section("May it be published?", null, knownTo(found), table("Asked in this order", [
      { title: "What", value: each => words(each) },
      { title: "Verdict", value: each => verdict(each.verdict) },
      { title: "Why", value: each => each.reason },
    ], found.rules, { key: each => `${each.kind} ${each.number ?? ""}` })),
    section("Who would get it", null, table("Each once, however many ways lead there", [
      { title: "Who", value: each => target(found.vhost, each) },
      { title: "Outcome", value: each => verdict(each.outcome) },
      { title: "Why", value: each => each.reason },
      { title: "By", value: each => each.topic_filters?.join(", ") ?? (each.competing?.length ? plural(each.competing.length, "consumer") : "") },
    ], found.targets, { key: each => `${each.kind} ${each.name}`, nothing: found.allowed ? "Nobody: no binding matches." : "Nobody: it may not be published." })),
    found.others.length > 0 && section("Who would not", null, table("And why", [
      { title: "Who", value: each => target(found.vhost, each) },
      { title: "Why", value: each => each.reason },
    ], found.others.slice(0, BINDINGS_MAX), { key: each => `${each.kind} ${each.name}` }), rest(found.others.length)),
    found.retained && section("Retained", null, facts({
      "The topic retains now": found.retained.now ? `${text(found.retained.now.payload_bytes)} B, QoS ${found.retained.now.qos}` : "nothing",
      "Expires in": duration(found.retained.now?.expires_in_s), "This message would take its place": found.retained.is_replaced })),
    found.route.map((each, at) => section(`Way ${at + 1}: ${each.exchange || "(nameless)"}`, null, way(found.vhost, each))),
  ]
}

function knownTo({ user, backends }) {
  const others = backends.authentication !== "internal" || backends.authorization !== "internal"
  return others && element("p", { class: "hint" }, `The backend ${backends.authentication} knows ${user}; ${backends.authorization} says what it may.`)
}

function words(each) {
  const rule = each.rule && [" ", code(`${each.rule.permission} ${each.rule.action} ${each.rule.topic}${each.rule.user ? ` for ${each.rule.user}` : ""}`)]
  return [each.kind, each.number ? ` ${each.number}` : "", rule ?? ""]
}

const rest = count => count > BINDINGS_MAX && element("p", { class: "hint" }, `${text(count - BINDINGS_MAX)} more are not shown.`)

function target(vhost, each) {
  const page = PAGES[each.kind]
  return [`${each.kind} `, page ? link(`#${page}/${place(vhost, each.name)}`, each.name) : each.name]
}

function way(vhost, each) {
  const came = each.way === "published" ? "Published to it." : each.way === "alternate" ? `The alternate of ${each.from}, which found nobody.` : `Bound to ${each.from}.`
  const bindings = each.bindings.toSorted((a, b) => b.matches - a.matches)
  const left = Math.max(0, bindings.length - BINDINGS_MAX) + each.left_out
  return [
    element("p", { class: "hint" }, `${each.type}. ${came}${each.delays ? " It delays what says x-delay." : ""}${each.by_queue_name ? " A queue has the routing key as its name." : ""}`
      + `${each.by_reply_address ? " The routing key is a reply address." : ""}${each.alternate ? ` Its alternate is ${each.alternate.exchange}${each.alternate.exists ? "" : ", which is not there"}.` : ""}`),
    bindings.length > 0 && table(plural(each.bindings.length + each.left_out, "binding"), [
      { title: "To", value: binding => target(vhost, binding.destination) },
      { title: "Binding key", value: binding => code(binding.binding_key) },
      { title: "Arguments", value: binding => binding.arguments },
      { title: "Matches", value: binding => pill(binding.matches ? "yes" : "no", binding.matches ? "good" : "") },
      { title: "Why not", value: binding => binding.reason },
    ], bindings.slice(0, BINDINGS_MAX)),
    left > 0 && element("p", { class: "hint" }, `${text(left)} more are not shown.`),
  ]
}
