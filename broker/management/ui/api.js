// The HTTP API, with the login of this tab (login.js), or the one that the browser has of its own.

// `status`: HTTP's.
export class Refused extends Error {
  constructor(words, status) {
    super(words)
    this.status = status
  }
}

const LOGIN = "login"
const skewed = { ms: 0 }

export const credentials = () => sessionStorage.getItem(LOGIN)
export const setCredentials = header => (header ? sessionStorage.setItem(LOGIN, header) : sessionStorage.removeItem(LOGIN))
// How far the broker's clock is ahead of this computer's, to a second.
export const skewMs = () => skewed.ms

export async function ask(method, path, body, headers = {}) {
  const login = credentials()
  const began = Date.now()
  const answer = await fetch(`api/${path}`, {
    method,
    // With the first of them a 401 comes without a challenge: the browser does not ask for another login in the middle of a page.
    headers: { ...headers, "X-Requested-With": "XMLHttpRequest", ...(login ? { Authorization: login } : {}), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  if (answer.headers.get("Date")) skewed.ms = Date.parse(answer.headers.get("Date")) - (began + Date.now()) / 2
  const said = await answer.text()
  let value = null
  try {
    value = said ? JSON.parse(said) : null
  } catch {
    throw new Refused(`${answer.status} ${answer.statusText}: the answer is not JSON`)
  }
  if (!answer.ok) throw new Refused(refusal(value) ?? `${answer.status} ${answer.statusText}`, answer.status)
  return value
}

// What a refusal says: RabbitMQ's words, and what the broker can say beyond them.
const refusal = value => value?.hubbub?.detail ? `${value.reason}: ${value.hubbub.detail}` : value?.reason

export const get = path => ask("GET", path)
export const put = (path, body) => ask("PUT", path, body)
export const post = (path, body) => ask("POST", path, body ?? {})
export const remove = (path, headers) => ask("DELETE", path, undefined, headers)
// What is there, or `otherwise` where nothing is.
export const known = (path, otherwise) => get(path).catch(error => {
  if (error.status === 404) return otherwise
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
