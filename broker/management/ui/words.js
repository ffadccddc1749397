// What the broker's words mean, for who fills in forms or reads the ledger.

const OVERFLOW = ["drop-head", "reject-publish", "reject-publish-dlx", "drop-tail"]
const LIMITS = {
  "message-ttl": ["number", "Milliseconds that a message may wait; then it expires"],
  expires: ["number", "Milliseconds without a consumer after which the queue goes"],
  "max-length": ["number", "Ready messages that it holds at most"],
  "max-length-bytes": ["number", "Bytes of ready messages that it holds at most"],
  overflow: [OVERFLOW, "What happens beyond that: the oldest goes, the publisher is refused, or the newest is dropped"],
  "dead-letter-exchange": ["text", "Where rejected, expired and dropped messages go"],
  "dead-letter-routing-key": ["text", "With which routing key; without it, with their own"],
  "delivery-limit": ["number", "How often a message may be delivered again; then it is dropped or dead-lettered"],
  "consumer-timeout": ["number", "Milliseconds that a client may hold a delivery; then its channel is closed"],
}

export const QUEUE_ARGUMENTS = {
  ...Object.fromEntries(Object.entries(LIMITS).map(([name, words]) => [`x-${name}`, words])),
  "x-max-priority": ["number", "How many priorities it tells apart: 1 to 255"],
  "x-single-active-consumer": ["boolean", "One consumer at a time gets messages; the others stand by"],
}

export const EXCHANGE_ARGUMENTS = {
  "alternate-exchange": ["text", "Where messages go that no binding matches"],
  "x-delayed-type": [["direct", "fanout", "topic", "headers"], "Of x-delayed-message: how it routes when the time has come"],
}

export const BINDING_ARGUMENTS = {
  "x-match": [["all", "any", "all-with-x", "any-with-x"], "Of a headers exchange: must all headers match, or any?"],
}

export const POLICY_KEYS = { ...LIMITS, "alternate-exchange": ["text", "Of exchanges: where messages go that no binding matches"] }
const OPERATORS = ["message-ttl", "expires", "max-length", "max-length-bytes", "overflow", "delivery-limit"]
export const OPERATOR_POLICY_KEYS = Object.fromEntries(Object.entries(LIMITS).filter(([name]) => OPERATORS.includes(name)))

export const PROPERTIES = {
  content_type: ["text", "What the payload is: text/plain, application/json"],
  content_encoding: ["text", "How it is packed: gzip"],
  headers: ["json", "An object of names and values"],
  correlation_id: ["text", "Which request it answers"],
  reply_to: ["text", "Where answers go"],
  expiration: ["text", "Milliseconds that it may wait"],
  message_id: ["text", "Its name, for applications"],
  timestamp: ["number", "Seconds since 1970"],
  type: ["text", "Its kind, for applications"],
  priority: ["number", "In a queue with x-max-priority"],
  app_id: ["text", "Which application it is from"],
  user_id: ["text", "Who publishes it: must be the login's own name"],
}

// Of the ledger: [the way in or out, what it means]. The ways in are as many as the ways out and what is there.
export const LEDGER = {
  accepted: ["in", "Put into a queue, by a publisher or as a dead letter"],
  restored: ["in", "Found in the store when the broker started"],
  acknowledged: ["out", "A consumer said that it is done"],
  delivered_no_ack: ["out", "Sent to a consumer that does not acknowledge"],
  got_no_ack: ["out", "Got one by one, without acknowledgement"],
  expired: ["out", "Waited for longer than it may"],
  rejected: ["out", "A consumer did not want it"],
  dropped_maxlen: ["out", "The queue was full, and the oldest gave way"],
  dropped_tail: ["out", "The queue was full, and the newest was not kept"],
  dropped_offline: ["out", "Not to be kept, and nobody was there to take it"],
  dropped_delivery_limit: ["out", "Delivered too often"],
  dropped_no_local: ["out", "Only its own publisher could have got it"],
  purged: ["out", "Removed by hand, or with its queue"],
  ready: ["there", "Waits for a consumer"],
  unacked: ["there", "Delivered, and not yet acknowledged"],
  unaccounted: ["check", "Came in and is nowhere: anything but 0 is a bug"],
  delivered: ["note", "Sent to consumers that acknowledge, each time counted"],
  got: ["note", "Got one by one, to be acknowledged"],
  get_empty: ["note", "Asked for, and nothing was there"],
  redelivered: ["note", "Sent for the second time or more"],
  requeued: ["note", "Came back to its queue"],
  dead_lettered: ["note", "Of those that expired, were rejected or dropped: went to a dead-letter exchange"],
  refused_maxlen: ["note", "Never accepted: the queue was full, and its publisher was told"],
}
