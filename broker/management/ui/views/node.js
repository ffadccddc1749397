// The process: what its memory is used for, the disk, the event loop, what comes and goes, who tried to log in, and what an operator tells it.
import { get, place, post, remove } from "../api.js"
import { chart, ranges } from "../charts.js"
import { bytes, duration, element, rate, text, words } from "../dom.js"
import { history, lines } from "../samples.js"
import { button, facts, figures, formDialog, heading, pill, section, table } from "../widgets.js"
import { ms, ratio } from "./overview.js"

const percent = share => `${text(Math.round(share * 1000) / 10)} %`
const MEMORY = { messages_ready: "Messages that wait", messages_unacknowledged: "Messages delivered and not acknowledged", messages_retained: "Retained messages (MQTT)",
  messages_incoming: "Messages begun by publishers", output: "Output that sockets have not taken" }
const CHURN = { connection: "Connections", channel: "Channels", queue: "Queues" }

export const node = {
  title: "Node",
  group: "Broker",
  tags: ["administrator", "monitoring"],
  load: async () => {
    const [[found], past] = await Promise.all([get("nodes"), history()])
    const [memory, protocols, sources] = await Promise.all([get(`nodes/${place(found.name)}/memory`), get(`auth/attempts/${place(found.name)}`), get(`auth/attempts/${place(found.name)}/source`)])
    return { found, past, memory: memory.memory, protocols, sources }
  },
  show: here => {
    const { found, past, memory, protocols, sources } = here.data
    const { store } = here.summary.hubbub
    return [
      heading(found.name, [ranges(here), ...doings(here)], found.being_drained ? pill("about to stop", "warn") : pill("running", "good")),
      figures({ Up: duration(found.uptime / 1000), Memory: bytes(found.mem_used), "Disk free": [bytes(found.disk_free), found.disk_free_alarm ? "bad" : ""],
        Descriptors: `${text(found.fd_used)} of ${text(found.fd_total)}`, Connections: `${text(found.sockets_used)} of ${text(found.sockets_total)}`,
        "Commits /s": rate(found, "io_sync_count"), "Written /s": `${bytes(rate(found, "io_write_bytes"))}` }),
      element("div", { class: "charts" },
        chart("Event loop, the latest timer", lines(past, { "late by, at most": "slowest_beat", mean: ratio("late_seconds", "beats") }), ms, "Whatever keeps the loop makes everybody wait; log.stall_ms logs who does"),
        chart("Processor", lines(past, { used: "cpu_seconds" }), percent, "Of one core"),
        chart("Commit, fsync included", lines(past, { mean: ratio("commit_seconds", "commits"), "slowest, at most": "slowest_commit" }), ms),
        chart("Commits per second", lines(past, { commits: "commits" })),
        chart("Written to disk per second", lines(past, { written: "written_bytes" }), bytes),
        chart("Disk free", lines(past, { free: "disk_free" }), bytes),
        chart("Store", lines(past, { live: "live", file: "file" }), bytes, "Messages that are kept, and the file that they are in"),
        chart("Memory", lines(past, { resident: "resident" }), bytes),
        chart("Descriptors", lines(past, { open: "descriptors" })),
        chart("Come and gone per second", lines(past, { "connections opened": "connection_created", closed: "connection_closed", "channels opened": "channel_created", "queues declared": "queue_declared" }))),
      element("div", { class: "columns" },
        section("Memory", null, used(memory)),
        section("Come and gone", null, table("Since the start", [
          { title: "What", value: ([, title]) => title },
          { title: "Opened", value: ([kind]) => found[`${kind}_created`] },
          { title: "… /s", value: ([kind]) => rate(found, `${kind}_created`) },
          { title: "Closed", value: ([kind]) => found[`${kind}_closed`] ?? found[`${kind}_deleted`] },
          { title: "… /s", value: ([kind]) => rate(found, `${kind}_closed`) || rate(found, `${kind}_deleted`) },
        ], Object.entries(CHURN), { key: ([kind]) => kind })),
        section("Store", null, facts({ State: store.status === "ok" ? pill("ok", "good") : pill(`${store.status}: ${store.status_text}`, "bad"), Durability: here.summary.hubbub.durability,
          "Live of file": `${bytes(store.live_bytes)} of ${bytes(store.file_bytes)}`, Free: bytes(store.free_bytes), Segments: store.segments, Compacted: store.segments_compacted, Journal: bytes(store.journal_bytes),
          Commits: store.commits, "Fsyncs of the journal": store.journal_syncs, Checkpoints: store.checkpoints, "Commits tried again": store.commit_retries })),
        section("Process", null, facts({ Name: found.name, "Process id": found.os_pid, Processors: found.processors, "Messages in memory, at most": bytes(found.mem_limit),
          "Publishers wait below": `${bytes(found.disk_free_limit)} of disk`, "Context switches /s": rate(found, "context_switches") }))),
      section("Logins", button("Count anew", () => here.act(() => remove(`auth/attempts/${place(found.name)}`), "Counted anew"), "", "Count anew who logs in", here.may("administrator")), table("By protocol", [
        { title: "Protocol", value: each => each.protocol },
        { title: "Tried", value: each => each.auth_attempts },
        { title: "Succeeded", value: each => each.auth_attempts_succeeded },
        { title: "Failed", value: each => each.auth_attempts_failed },
      ], protocols, { key: each => each.protocol, nothing: "Nobody has tried to log in." }), sources.length > 0 && table("By address and user", [
        { title: "Address", value: each => each.remote_address },
        { title: "User", value: each => each.username },
        { title: "Protocol", value: each => each.protocol },
        { title: "Tried", value: each => each.auth_attempts },
        { title: "Failed", number: true, value: each => (each.auth_attempts_failed ? pill(text(each.auth_attempts_failed), "warn") : "0") },
      ], sources.toSorted((a, b) => b.auth_attempts_failed - a.auth_attempts_failed).slice(0, 50), { key: each => `${each.remote_address} ${each.username} ${each.protocol}` })),
    ]
  },
}

function used(memory) {
  const own = Object.entries(memory.hubbub)
  const rest = memory.total.rss - own.reduce((all, [, count]) => all + count, 0)
  const rows = [...own.map(([word, count]) => [MEMORY[word] ?? words(word), count]), ["The rest: code, objects, pages of the store", Math.max(0, rest)]]
  return table(`${bytes(memory.total.rss)} in all`, [
    { title: "For", value: ([what]) => what },
    { title: "Bytes", number: true, value: ([, count]) => bytes(count) },
    { title: "Share", value: ([what, count]) => element("meter", { min: 0, max: memory.total.rss || 1, value: count, "aria-label": `Share of ${what}` }) },
  ], rows, { key: ([what]) => what })
}

function doings({ attempt, act, may }) {
  const refused = may("administrator")
  return [
    button("Reload settings", () => act(() => post("hubbub/reload"), said => `Changed: ${said.changed.join(", ") || "nothing"}. Needs a restart: ${said.needs_restart.join(", ") || "nothing"}.`), "", "", refused),
    button("Back up", () => formDialog("Back up", [{ name: "directory", label: "Directory on the broker's machine", required: true, wide: true, hint: "/var/backups/hubbub" }], "Back up",
      ({ directory }) => attempt(() => post("hubbub/backup", { directory }), `The copy is in ${directory}`), "A consistent copy, while it runs: a data directory on which a broker can be started."), "", "", refused),
    button("Drain and stop", () => formDialog("Drain and stop", [{ name: "after", label: "Seconds until it stops", type: "number", value: 30, required: true }], "Drain and stop",
      ({ after }) => attempt(() => post("hubbub/drain", { after: Number(after) }), said => `It stops in ${text(said.after)} s; ${text(said.connections)} connections are here`),
      "Load balancers are told at once to look elsewhere; then every connection is told, what is accepted is committed, and the process ends. It cannot be taken back."), "danger", "", refused),
  ]
}
