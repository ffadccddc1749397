// Everything that is declared, as RabbitMQ's definitions.json: taken home, and brought in.
import { get, place, post } from "../api.js"
import { element, text } from "../dom.js"
import { button, heading, section, sure } from "../widgets.js"
import { save } from "./messages.js"

const KINDS = ["vhosts", "users", "permissions", "exchanges", "queues", "bindings", "policies", "parameters"]

export const definitions = {
  title: "Definitions",
  group: "Administration",
  tags: ["administrator"],
  show: here => [
    heading("Definitions"),
    section("Export", [here.scope && button(`Download those of ${here.scope}`, () => here.act(() => download(here.scope), "Exported")),
      button("Download definitions.json", () => here.act(() => download(), "Exported"), "primary")], element("p", { class: "hint" },
      "Vhosts, users with the hashes of their passwords, permissions, exchanges, queues, bindings, policies and parameters; no messages. In RabbitMQ's format. Choose a vhost above for those of one alone.")),
    section("Import", null, element("p", { class: "hint" }, "Adds and changes, and removes nothing. RabbitMQ's definitions.json is taken as it is. A document with a mistake changes nothing."),
      here.scope && element("p", { class: "hint" }, `Into ${here.scope}: what the file has of queues, exchanges, bindings and policies.`), element("label", {}, "File", element("input", { type: "file", accept: "application/json,.json", onchange: event => chosen(event.currentTarget, here) }))),
  ],
}

async function download(vhost) {
  const found = await get(vhost ? `definitions/${place(vhost)}` : "definitions")
  save(vhost ? `definitions of ${vhost}.json`.replaceAll("/", "_") : "definitions.json", new Blob([JSON.stringify(found, null, 2)], { type: "application/json" }))
}

async function chosen(input, { act, say, scope }) {
  const [file] = input.files
  if (!file) return
  let document
  try {
    document = JSON.parse(await file.text())
  } catch (error) {
    say(`${file.name} is not JSON: ${error.message}`, true)
    return
  }
  const counts = KINDS.filter(kind => document[kind]?.length).map(kind => `${text(document[kind].length)} ${kind}`)
  sure(`Import ${counts.join(", ") || "nothing that is known"} from ${file.name}?`, "Import", () => act(() => post(scope ? `definitions/${place(scope)}` : "definitions", document), `Imported ${file.name}`))
  input.value = ""
}
