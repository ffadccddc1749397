// Makes what is on the page look like what was drawn anew, in place: what stays keeps the focus, the reader's place, what was
// typed, and whether it is unfolded. Rows of the same `data-key` are the same; `data-own` keeps its content to itself.

export function morph(shown, drawn) {
  const focused = document.activeElement
  patch(shown, drawn)
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true })
}

const kinds = node => Object.keys(node.actions ?? {}).join()
const key = node => node.dataset?.key ?? ""

function alike(shown, drawn) {
  return shown.nodeType === drawn.nodeType && shown.nodeName === drawn.nodeName
    && (shown.nodeType !== Node.ELEMENT_NODE || shown.id === drawn.id && key(shown) === key(drawn) && kinds(shown) === kinds(drawn))
}

function patch(shown, drawn) {
  if (shown === drawn) return
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.data !== drawn.data) shown.data = drawn.data
    return
  }
  if (drawn.actions) shown.actions = drawn.actions
  attributes(shown, drawn)
  if (!("own" in drawn.dataset)) children(shown, drawn)
}

function attributes(shown, drawn) {
  const folds = shown.nodeName === "DETAILS"
  for (const { name } of [...shown.attributes]) if (!drawn.hasAttribute(name) && !(folds && name === "open")) shown.removeAttribute(name)
  for (const { name, value } of drawn.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value)
}

function children(shown, drawn) {
  const keyed = new Map([...shown.children].filter(key).map(each => [key(each), each]))
  let at = shown.firstChild
  for (const next of [...drawn.childNodes]) {
    const found = key(next) ? keyed.get(key(next)) : ahead(at, next)
    if (!found || !alike(found, next)) {
      shown.insertBefore(next, at)
    } else if (key(next)) {
      if (found === at) at = at.nextSibling
      else shown.insertBefore(found, at)
      patch(found, next)
    } else {
      while (at !== found) at = dropped(at)
      at = at.nextSibling
      patch(found, next)
    }
  }
  while (at) at = dropped(at)
}

function ahead(at, drawn) {
  for (let each = at; each; each = each.nextSibling) if (each === drawn || alike(each, drawn)) return each
  return null
}

function dropped(node) {
  const next = node.nextSibling
  node.remove()
  return next
}
