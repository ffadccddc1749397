// What charts are drawn of: the broker's own history, or what this page has seen since it was opened, where there is none for the reader.
//
// Either way it is { at: [ms], lines: { name: [value or null] }, age: the seconds that are shown, every: between two looks }.
import { get } from "./api.js"

export const RANGES = [[60, "1 min"], [600, "10 min"], [3600, "1 h"], [28800, "8 h"], [86400, "24 h"]]
const RANGE = 600
const SAMPLES = 200
const SPAN_S_MIN = 60
const GAP_S = 7
const KEPT = 20

// ── how far back ───────────────────────────────────────────────────────────────────────────────────────────────────────

export const range = () => RANGES.find(([age]) => String(age) === localStorage.getItem("range"))?.[0] ?? RANGE
export const setRange = age => localStorage.setItem("range", age)

// ── the broker's history ───────────────────────────────────────────────────────────────────────────────────────────────

const asked = new Map()

// The broker's own series behind `path` ("" : the broker; "queues/%2F/name"), asked for no oftener than they change.
export async function history(path = "") {
  const age = range()
  const key = `${path}?${age}`
  const before = asked.get(key)
  if (before && Date.now() - before.when < before.found.every_s * 900) return before.found
  const found = { ...await get(`hubbub/history${path && `/${path}`}?age=${age}`), age }
  asked.delete(key)
  asked.set(key, { when: Date.now(), found })
  if (asked.size > KEPT) asked.delete(asked.keys().next().value)
  return found
}

// The lines of a chart: { "published": "publish" } chooses and renames; a function of the series makes a line of several.
export function lines(found, wanted) {
  return { at: found.at, age: found.age, every: found.every_s, lines: Object.fromEntries(Object.entries(wanted).map(([name, of]) =>
    [name, typeof of === "function" ? of(found.series) : found.series[of] ?? []])) }
}

// ── what this page has seen ────────────────────────────────────────────────────────────────────────────────────────────

const seen = new Map()

// Remembers `values` ({name: number}) under `key`, with the time.
export function sample(key, values) {
  const looks = seen.get(key) ?? []
  looks.push({ at: Date.now(), values })
  if (looks.length > SAMPLES) looks.shift()
  seen.set(key, looks)
}

export function sampled(key) {
  const looks = seen.get(key) ?? []
  const names = looks.length ? Object.keys(looks.at(-1).values) : []
  const age = looks.length ? Math.max(SPAN_S_MIN, (looks.at(-1).at - looks[0].at) / 1000) : SPAN_S_MIN
  return { at: looks.map(each => each.at), age, every: GAP_S, lines: Object.fromEntries(names.map(name => [name, looks.map(each => each.values[name])])) }
}
