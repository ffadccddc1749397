// What the broker will refuse anyway, and why: so that nobody fills in a form for nothing. The broker decides; where this page does not know,
// it lets try.

// `may(what, vhost, name)`: undefined, or the reason against it. `what`: a tag ("administrator", "policymaker"), or a right ("configure", "write", "read").
export function rights(who) {
  return (what, vhost, name) => (["configure", "write", "read"].includes(what) ? lacks(who, what, vhost, name) : untagged(who, what))
}

function untagged(who, tag) {
  if (who.tags.includes("administrator") || who.tags.includes(tag)) return undefined
  return `This is for users with the tag ${tag}; ${who.name} has ${who.tags.join(", ") || "none"}.`
}

function lacks(who, verb, vhost, name) {
  if (!who.permissions) return undefined
  const found = who.permissions.find(each => each.vhost === vhost)
  if (!found) return `${who.name} has no permission in ${vhost}.`
  if (name === undefined || matches(found[verb], name)) return undefined
  return `${who.name} may ${verb} only what matches ${found[verb] || "nothing"} in ${vhost}.`
}

// Python's expressions are mostly JavaScript's: of others nothing is known.
function matches(pattern, name) {
  try {
    return pattern !== "" && new RegExp(pattern, "u").test(name)
  } catch {
    return true
  }
}
