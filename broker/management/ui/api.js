// The HTTP API: the browser sends the login that it was asked for with the page.

export class Refused extends Error {}

export async function ask(method, path, body) {
  const answer = await fetch(`api/${path}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const said = await answer.text()
  const value = said ? JSON.parse(said) : null
  if (!answer.ok) throw new Refused(value?.reason ?? `${answer.status} ${answer.statusText}`)
  return value
}

export const get = path => ask("GET", path)
export const put = (path, body) => ask("PUT", path, body)
export const post = (path, body) => ask("POST", path, body)
export const remove = path => ask("DELETE", path)
export const place = (...names) => names.map(encodeURIComponent).join("/")
