// Where did the messages go? What came in equals what went out plus what is there: of all queues, and queue by queue.
import { element, text, words } from "../dom.js"
import { listed, listing } from "../listing.js"
import { place } from "../api.js"
import { LEDGER } from "../words.js"
import { heading, link, pill, section, table } from "../widgets.js"

const TITLES = { in: "Came in", out: "Went out", there: "Are there", note: "Also counted" }
const sum = (counts, way) => Object.entries(LEDGER).filter(([, [of]]) => of === way).reduce((all, [word]) => all + (counts[word] ?? 0), 0)

// The account of one queue or of all, as a table: `counts` by the ledger's words, `ready` and `unacked` among them.
export function account(caption, counts, { explained = false } = {}) {
  const rows = Object.entries(TITLES).flatMap(([way, title]) => {
    const seen = Object.entries(LEDGER).filter(([word, [of]]) => of === way && counts[word])
    return seen.map(([word, [, about]], at) => ({ word, about, count: counts[word], title: at ? "" : title, whole: at ? "" : way === "note" ? "" : sum(counts, way) }))
  })
  return table(caption, [
    { title: "", value: each => element("strong", {}, each.title) },
    { title: "What happened", value: each => element("span", { class: "whole", title: each.about }, words(each.word)) },
    { title: "Messages", value: each => each.count },
    { title: "Together", number: true, value: each => (each.whole === "" ? "" : element("strong", {}, text(each.whole))) },
    explained && { title: "What that means", value: each => element("span", { class: "hint" }, each.about) },
  ].filter(Boolean), rows, { nothing: "No message yet.", key: each => each.word })
}

export const balance = counts => pill(counts.unaccounted ? `${text(counts.unaccounted)} unaccounted` : "it balances", counts.unaccounted ? "bad" : "good")

const dropped = each => Object.entries(each.hubbub.ledger).filter(([word]) => word.startsWith("dropped")).reduce((all, [, count]) => all + count, 0)
const column = (title, word) => ({ title, sort: `hubbub.ledger.${word}`, value: each => each.hubbub.ledger[word] ?? 0 })

export const ledger = {
  title: "Ledger",
  group: "Broker",
  load: ({ query, scoped }) => listed(scoped("queues"), query, "name"),
  show: here => {
    const counts = here.summary.hubbub.ledger
    return [
      heading("Ledger", null, balance(counts)),
      section("All queues together", null, element("p", { class: "hint" }, "Since the start, deleted queues included: what came in equals what went out plus what is there. To follow single messages, ",
        link("#trace", "trace"), " them; to ask where one would go, ", link("#explain", "explain"), " it."), account("Where the messages went", counts, { explained: true })),
      section("Queue by queue", null, listing("queues", [
        { title: "Name", sort: "name", value: each => link(`#queue/${place(each.vhost, each.name)}`, each.name) },
        { title: "Vhost", sort: "vhost", value: each => each.vhost },
        column("Accepted", "accepted"), column("Restored", "restored"), column("Acknowledged", "acknowledged"), column("Without ack", "delivered_no_ack"),
        column("Expired", "expired"), column("Rejected", "rejected"),
        { title: "Dropped", value: dropped },
        column("Dead-lettered", "dead_lettered"), column("Refused", "refused_maxlen"), column("Purged", "purged"),
        { title: "There", sort: "messages", value: each => each.messages },
        { title: "Unaccounted", sort: "hubbub.ledger.unaccounted", number: true, value: each => (each.hubbub.ledger.unaccounted ? pill(text(each.hubbub.ledger.unaccounted), "bad") : "0") },
      ], here.data, { ...here, sort: "name", key: each => `${each.vhost} ${each.name}`, nothing: "There are no queues." })),
    ]
  },
}
