// What an operator must not overlook, above every page: alarms, a broker that goes, fails or does not answer, clocks that differ.
import { element, duration, moment, plural } from "./dom.js"

const SKEW_MS_MAX = 60_000
const KINDS = { memory: "Messages take more memory than they may", disk: "The disk is nearly full" }
const REMEDY = { memory: "Let consumers take messages, or raise memory.messages_bytes_max and reload.", disk: "Make room: publishing resumes by itself." }

// `lastMs`: when the broker last answered, where it does not now; else 0.
export function notices(summary, skewMs, lastMs) {
  const found = []
  if (lastMs) found.push(["bad", "The broker does not answer. ", `What is shown is from ${moment(lastMs)}. It is asked again by itself.`])
  const own = summary?.hubbub
  if (!own) return found
  for (const [name, why] of Object.entries(own.alarms)) {
    found.push(["bad", `${KINDS[name] ?? `Alarm: ${name}`}. `, `Publishers wait, consumers go on (alarm: ${name}: ${why}). ${REMEDY[name] ?? ""}`])
  }
  if (own.store.status && own.store.status !== "ok") found.push(["bad", "The store accepts nothing. ", own.store.status_text || own.store.status])
  if (own.is_draining) found.push(["warn", "The broker is about to stop. ", "It serves whoever is here, and load balancers are told to look elsewhere."])
  if (own.ledger.unaccounted) found.push(["bad", "The ledger does not balance. ", `${plural(Math.abs(own.ledger.unaccounted), "message")} unaccounted: please report it.`])
  if (Math.abs(skewMs) > SKEW_MS_MAX) {
    found.push(["warn", "The clocks differ. ", `The broker's is ${duration(Math.abs(skewMs) / 1000)} ${skewMs > 0 ? "ahead of" : "behind"} this computer's: look at NTP.`])
  }
  return found
}

export function banner(found) {
  return element("div", { id: "alarms", role: "alert" }, found.map(([kind, title, words]) => element("p", { class: kind, "data-key": title }, element("strong", {}, title), words)))
}
