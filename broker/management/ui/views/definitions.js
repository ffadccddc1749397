// Everything that is declared, as RabbitMQ's definitions.json: taken home, and brought in.
import { get, post } from "../api.js"
import { element, text } from "../dom.js"
import { button, heading, section, sure } from "../widgets.js"

const KINDS = ["vhosts", "users", "permissions", "exchanges", "queues", "bindings", "policies", "parameters"]

export const definitions = {
  title: "Definitions",
  group: "Administration",
  tags: ["administrator"],
  show: here => [
    heading("Definitions"),
    section("Export", button("Download definitions.json", () => here.act(download, "Exported"), "primary"), element("p", { class: "hint" },
      "Vhosts, users with the hashes of their passwords, permissions, exchanges, queues, bindings, policies and parameters; no messages. In RabbitMQ's format.")),
    section("Import", null, element("p", { class: "hint" }, "Adds and changes, and removes nothing. RabbitMQ's definitions.json is taken as it is. A document with a mistake changes nothing."),
      element("label", {}, "File", element("input", { type: "file", accept: "application/json,.json", onchange: event => chosen(event.currentTarget, here) }))),
  ],
}

async function download() {
  const file = new Blob([JSON.stringify(await get("definitions"), null, 2)], { type: "application/json" })
  const link = element("a", { href: URL.createObjectURL(file), download: "definitions.json" })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
}

async function chosen(input, { act, say }) {
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
  sure(`Import ${counts.join(", ") || "nothing that is known"} from ${file.name}?`, "Import", () => act(() => post("definitions", document), `Imported ${file.name}`))
  input.value = ""
}
