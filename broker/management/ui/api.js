// The HTTP API: the browser sends the login that it was asked for with the page.

// `status`: HTTP's.
export class Refused extends Error {
  constructor(words, status) {
    super(words)
    this.status = status
  }
}

export async function ask(method, path, body) {
  const answer = await fetch(`api/${path}`, {
    method,
    // With the first of them a 401 comes without a challenge: the browser does not ask for another login in the middle of a page.
    headers: { "X-Requested-With": "XMLHttpRequest", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const said = await answer.text()
  let value = null
  try {
    value = said ? JSON.parse(said) : null
  } catch {
    throw new Refused(`${answer.status} ${answer.statusText}: the answer is not JSON`)
  }
  if (!answer.ok) throw new Refused(value?.reason ?? `${answer.status} ${answer.statusText}`, answer.status)
  return value
}

export const get = path => ask("GET", path)
export const put = (path, body) => ask("PUT", path, body)
export const post = (path, body) => ask("POST", path, body ?? {})
export const remove = path => ask("DELETE", path)
// What is there, or `otherwise` where nothing is.
export const known = (path, otherwise) => get(path).catch(error => {
  if (error.message === "Not Found") return otherwise
  throw error
})
export const place = (...names) => names.map(encodeURIComponent).join("/")

// The JSON object that somebody typed; nothing typed is {}.
export function object(typed, what) {
  let value
  try {
    value = typed.trim() ? JSON.parse(typed) : {}
  } catch (error) {
    throw new Refused(`${what}: expected JSON: ${error.message}`)
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Refused(`${what}: expected a JSON object`)
  return value
}
