// Connections of every protocol in one list.
import { get, place, remove } from "../api.js"
import { button, element, table } from "../dom.js"

export const connections = {
  title: "Connections",
  load: () => get("connections"),
  show: ({ data, act }) => element("div", {},
    element("h2", {}, "Connections"),
    table(`${data.length} connections`, [
      { title: "Name", value: each => each.name },
      { title: "Protocol", value: each => each.protocol + (each.ssl ? " over TLS" : "") },
      { title: "User", value: each => each.user },
      { title: "Vhost", value: each => each.vhost },
      { title: "State", value: each => each.state },
      { title: "Channels", value: each => each.channels },
      { title: "In, B/s", value: each => Math.round(each.recv_oct_details.rate) },
      { title: "Out, B/s", value: each => Math.round(each.send_oct_details.rate) },
      { title: "", value: each => button("Close", () => act(() => remove(`connections/${place(each.name)}`), `Closed ${each.name}`),
        `Close ${each.name}?`) },
    ], data, "nobody is connected")),
}
