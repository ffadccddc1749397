// Dark, light, or as the reader's system has it; the choice is kept in this browser.
const NEXT = { system: "light", light: "dark", dark: "system" }
const SIGNS = { system: "◐", light: "☀", dark: "☾" }

export function theme(switcher) {
  const show = chosen => {
    if (chosen === "system") delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = chosen
    switcher.textContent = SIGNS[chosen]
    switcher.title = `Colours: ${chosen}`
    switcher.setAttribute("aria-label", `Colours: ${chosen}. Change to ${NEXT[chosen]}`)
  }
  const kept = () => (localStorage.getItem("theme") in NEXT ? localStorage.getItem("theme") : "system")
  switcher.addEventListener("click", () => {
    localStorage.setItem("theme", NEXT[kept()])
    show(kept())
  })
  show(kept())
}
