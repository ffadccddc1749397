"""The overview as one page of HTML, without scripts from elsewhere and without a build step."""

from __future__ import annotations

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hubbub</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem }
h1 small { font-weight: normal; font-size: 1rem; opacity: .7 }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem }
dt { font-size: .8rem; opacity: .7 }
dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums }
dd.word { font-size: 1rem; padding-top: .3rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.alarm { background: #b00; color: #fff; padding: .5rem 1rem; border-radius: .3rem }
</style>
</head>
<body>
<h1>Hubbub <small id="version"></small></h1>
<div id="alarms"></div>
<dl id="totals"></dl>
<h2>Queues</h2>
<table>
<thead><tr><th>Vhost</th><th>Name</th><th>Type</th><th class="number">Ready</th><th class="number">Unacked</th>
<th class="number">Consumers</th><th class="number">Published</th><th class="number">Acknowledged</th></tr></thead>
<tbody id="queues"></tbody>
</table>
<h2>Listeners</h2>
<table><tbody id="listeners"></tbody></table>
<script>
"use strict"
const QUEUES_SHOWN = 500
const show = (tag, text, kind) => {
  const element = document.createElement(tag)
  element.textContent = text
  if (kind) element.className = kind
  return element
}
const row = (...cells) => {
  const element = document.createElement("tr")
  for (const cell of cells) element.append(show("td", cell, typeof cell === "number" ? "number" : ""))
  return element
}
const fill = (id, ...elements) => document.getElementById(id).replaceChildren(...elements)
async function refresh() {
  const [overview, queues] = await Promise.all(
    ["api/overview", "api/queues"].map(path => fetch(path).then(answer => answer.json())))
  const own = overview.hubbub
  document.getElementById("version").textContent = overview.product_version + " · " + overview.node
  fill("alarms", ...Object.entries(own.alarms).map(([name, text]) => show("p", name + ": " + text, "alarm")))
  const figures = [
    ["Durability", own.durability], ["Store", own.store.status],
    ["Ready", overview.queue_totals.messages_ready], ["Unacked", overview.queue_totals.messages_unacknowledged],
    ["Connections", overview.object_totals.connections], ["Channels", overview.object_totals.channels],
    ["Queues", overview.object_totals.queues], ["Consumers", overview.object_totals.consumers],
    ["Published", overview.message_stats.publish], ["Delivered", overview.message_stats.deliver_get],
    ["Acknowledged", overview.message_stats.ack], ["Unaccounted", own.ledger.unaccounted ?? 0]]
  fill("totals", ...figures.map(([name, value]) => {
    const pair = document.createElement("div")
    pair.append(show("dt", name), show("dd", String(value), typeof value === "number" ? "" : "word"))
    return pair
  }))
  fill("queues", ...queues.slice(0, QUEUES_SHOWN).map(queue => row(queue.vhost, queue.name, queue.type,
    queue.messages_ready, queue.messages_unacknowledged, queue.consumers,
    queue.message_stats.publish, queue.message_stats.ack)))
  fill("listeners", ...overview.listeners.map(each => row(each.protocol, each.ip_address + ":" + each.port)))
}
refresh()
setInterval(refresh, 5000)
</script>
</body>
</html>
"""
