// What is around every page: the head, the menu, whose vhosts are shown, who is logged in, and how often is asked.
import { get } from "./api.js"
import { element } from "./dom.js"
import { logOut } from "./login.js"
import { morph } from "./morph.js"
import { GROUPS, PAGES } from "./pages.js"
import { button } from "./widgets.js"

const EVERY = [[2000, "2 s"], [5000, "5 s"], [15000, "15 s"], [60000, "1 min"], [0, "by hand"]]
const EVERY_MS = 5000
const find = id => document.getElementById(id)

// ── how often ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export const everyMs = () => EVERY.find(([ms]) => String(ms) === localStorage.getItem("every"))?.[0] ?? EVERY_MS

function often(refresh) {
  return element("label", {}, "Ask every", element("select", { name: "every", onchange: event => { localStorage.setItem("every", event.currentTarget.value); refresh() } },
    EVERY.map(([ms, words]) => element("option", { value: ms, selected: ms === everyMs() }, words))))
}

// ── head and menu ──────────────────────────────────────────────────────────────────────────────────────────────────────

export function head(summary) {
  find("version").textContent = `${summary.product_version} · ${summary.cluster_name}`
}

export function menu(page, who, refresh) {
  document.title = `${page.title} – Hubbub`
  const allowed = ([, each]) => !each.tags || each.tags.some(tag => who.tags.includes(tag))
  const links = group => Object.entries(PAGES).filter(([, each]) => each.group === group).filter(allowed)
  const made = element("nav", { id: "pages", "aria-label": "Pages", class: find("pages").className }, GROUPS.map(group => links(group).length > 0 && element("div", {},
    element("h2", {}, group), element("ul", {}, links(group).map(([name, each]) => element("li", {},
      element("a", { href: `#${name}`, "aria-current": each === page || name === page.parent ? "page" : undefined }, each.title)))))),
  element("div", { class: "who" }, often(refresh), element("p", {}, element("strong", {}, who.name), ` · ${who.tags.join(", ") || "no tags"}`), button("Log out", logOut, "link")))
  morph(find("pages"), made)
}

export function unfold(open) {
  find("menu").setAttribute("aria-expanded", String(open))
  find("pages").classList.toggle("open", open)
}

// While nobody is logged in there is nothing to choose.
export function bare(is) {
  for (const id of ["pages", "menu"]) find(id).hidden = is
  if (is) find("scope").hidden = true
  document.body.classList.toggle("bare", is)
}

// ── the vhosts to choose from ──────────────────────────────────────────────────────────────────────────────────────────

export const scope = () => find("scope").querySelector("select").value

export async function scopes() {
  const vhosts = (await get("vhosts?columns=name")).map(each => each.name)
  const chosen = sessionStorage.getItem("scope") ?? ""
  const options = [element("option", { value: "" }, "All"), ...vhosts.map(name => element("option", { value: name }, name))]
  find("scope").hidden = vhosts.length < 2
  find("scope").querySelector("select").replaceChildren(...options)
  if (!vhosts.includes(chosen)) sessionStorage.removeItem("scope")
  if (vhosts.includes(chosen)) find("scope").querySelector("select").value = chosen
}
