// amqplib: the client of Node. Run by test_node_amqplib.py with AMQP_URL in the environment.
'use strict';

const assert = require('node:assert');
const { once } = require('node:events');
const { test, before, after, beforeEach, afterEach } = require('node:test');
const amqp = require('amqplib');

const url = process.env.AMQP_URL;
let connection;
let channel;

before(async () => {
  connection = await amqp.connect(url);
});
after(async () => connection.close());
beforeEach(async () => {
  channel = await connection.createChannel();
});
afterEach(async () => channel.close().catch(() => {}));

const name = (prefix = 'node') => `${prefix}.${Math.random().toString(36).slice(2)}`;
const exclusive = async (options = {}) => (await channel.assertQueue('', { exclusive: true, ...options })).queue;

async function received(queue, count, options = {}) {
  const messages = [];
  await new Promise((resolve, reject) => {
    channel
      .consume(queue, (message) => {
        messages.push(message);
        if (messages.length === count) resolve();
      }, options)
      .catch(reject);
  });
  return messages;
}

// The channel dies of `use`; resolves to the error that amqplib makes of channel.close.
async function channelError(use) {
  const dying = await connection.createChannel();
  const closed = once(dying, 'error');
  Promise.resolve(use(dying)).catch(() => {});
  const [error] = await closed;
  return error;
}

test('the server says who it is and what it can', () => {
  const properties = connection.connection.serverProperties;
  assert.ok(properties.product);
  assert.ok(properties.version);
  for (const capability of ['publisher_confirms', 'basic.nack', 'consumer_cancel_notify', 'connection.blocked']) {
    assert.strictEqual(properties.capabilities[capability], true, capability);
  }
});

test('publish and consume with properties and headers', async () => {
  const queue = await exclusive();
  channel.sendToQueue(queue, Buffer.from('hello'), {
    contentType: 'text/plain', persistent: true, messageId: 'm1', priority: 3, correlationId: 'c', timestamp: 17e8,
    headers: { text: 'grün', number: 42, float: 1.5, yes: true, nothing: null, list: [1, 'a'], table: { deep: { x: -1 } } },
  });
  const [message] = await received(queue, 1, { noAck: true });
  assert.strictEqual(message.content.toString(), 'hello');
  assert.strictEqual(message.properties.contentType, 'text/plain');
  assert.strictEqual(message.properties.deliveryMode, 2);
  assert.strictEqual(message.properties.timestamp, 17e8);
  assert.deepStrictEqual({ ...message.properties.headers }, {
    text: 'grün', number: 42, float: 1.5, yes: true, nothing: null, list: [1, 'a'], table: { deep: { x: -1 } },
  });
});

test('a topic exchange routes', async () => {
  const { exchange } = await channel.assertExchange(name(), 'topic', { autoDelete: true, durable: false });
  const queue = await exclusive();
  await channel.bindQueue(queue, exchange, '*.orange.*');
  channel.publish(exchange, 'lazy.brown.fox', Buffer.from('no'));
  channel.publish(exchange, 'quick.orange.rabbit', Buffer.from('yes'));
  const [message] = await received(queue, 1, { noAck: true });
  assert.strictEqual(message.fields.routingKey, 'quick.orange.rabbit');
});

test('exchange to exchange bindings and an alternate exchange', async () => {
  const spill = (await channel.assertExchange(name(), 'fanout', { autoDelete: true })).exchange;
  const source = (await channel.assertExchange(name(), 'direct', { alternateExchange: spill })).exchange;
  const queue = await exclusive();
  await channel.bindQueue(queue, spill, '');
  channel.publish(source, 'nowhere', Buffer.from('spilled'));
  const [message] = await received(queue, 1, { noAck: true });
  assert.strictEqual(message.content.toString(), 'spilled');
  await channel.deleteExchange(source);
});

test('a confirm channel confirms every publish', async () => {
  const confirming = await connection.createConfirmChannel();
  const { queue } = await confirming.assertQueue(name(), { durable: true });
  for (let i = 0; i < 500; i += 1) confirming.sendToQueue(queue, Buffer.from(String(i)), { persistent: true });
  await confirming.waitForConfirms();
  assert.strictEqual((await confirming.checkQueue(queue)).messageCount, 500);
  await confirming.deleteQueue(queue);
  await confirming.close();
});

test('a confirm channel hears a nack on reject-publish', async () => {
  const confirming = await connection.createConfirmChannel();
  const { queue } = await confirming.assertQueue('', {
    exclusive: true, maxLength: 1, arguments: { 'x-overflow': 'reject-publish' },
  });
  confirming.sendToQueue(queue, Buffer.from('in'));
  await confirming.waitForConfirms();
  const error = await new Promise((resolve) => { confirming.sendToQueue(queue, Buffer.from('out'), {}, resolve); });
  assert.match(String(error), /nacked/);
  await confirming.close();
});

test('mandatory messages return', async () => {
  const returned = once(channel, 'return');
  channel.publish('', name('nowhere'), Buffer.from('back'), { mandatory: true });
  const [message] = await returned;
  assert.strictEqual(message.fields.replyCode, 312);
  assert.strictEqual(message.fields.replyText, 'NO_ROUTE');
});

test('prefetch, ack all up to, nack with requeue', async () => {
  const queue = await exclusive();
  for (let i = 0; i < 6; i += 1) channel.sendToQueue(queue, Buffer.from(String(i)));
  await channel.prefetch(3);
  const messages = await received(queue, 3);
  channel.ack(messages[1], true);
  channel.nack(messages[2], false, true);
  const again = await new Promise((resolve) => {
    const seen = [];
    connection.createChannel().then(async (other) => {
      await channel.close();
      await other.consume(queue, (message) => {
        seen.push([message.content.toString(), message.fields.redelivered]);
        if (seen.length === 4) other.close().then(() => resolve(seen));
      }, { noAck: true });
    });
  });
  assert.deepStrictEqual(again.map(([body]) => body), ['2', '3', '4', '5']);
  assert.strictEqual(again[0][1], true);
});

test('get and get-empty', async () => {
  const queue = await exclusive();
  channel.sendToQueue(queue, Buffer.from('one'));
  channel.sendToQueue(queue, Buffer.from('two'));
  const first = await channel.get(queue);
  assert.strictEqual(first.content.toString(), 'one');
  assert.strictEqual(first.fields.messageCount, 1);
  channel.ack(first);
  await channel.get(queue, { noAck: true });
  assert.strictEqual(await channel.get(queue), false);
});

test('a consumer hears null when its queue is deleted', async () => {
  const queue = await exclusive();
  const cancelled = new Promise((resolve) => { channel.consume(queue, (message) => resolve(message)); });
  const other = await connection.createChannel();
  await other.deleteQueue(queue);
  assert.strictEqual(await cancelled, null);
  await other.close();
});

test('dead letters arrive with x-death', async () => {
  const graves = await exclusive();
  const queue = await exclusive({ deadLetterExchange: '', deadLetterRoutingKey: graves, messageTtl: 50 });
  channel.sendToQueue(queue, Buffer.from('mortal'));
  const [message] = await received(graves, 1, { noAck: true });
  assert.strictEqual(message.properties.headers['x-death'][0].reason, 'expired');
  assert.strictEqual(message.properties.headers['x-death'][0].queue, queue);
});

test('request and reply over amq.rabbitmq.reply-to', async () => {
  const requests = await exclusive();
  await channel.consume(requests, (message) => {
    channel.sendToQueue(message.properties.replyTo, Buffer.from(`re: ${message.content}`),
      { correlationId: message.properties.correlationId });
  }, { noAck: true });
  const reply = new Promise((resolve) => {
    channel.consume('amq.rabbitmq.reply-to', resolve, { noAck: true }).then(() => {
      channel.sendToQueue(requests, Buffer.from('question'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: '7' });
    });
  });
  const message = await reply;
  assert.strictEqual(message.content.toString(), 're: question');
  assert.strictEqual(message.properties.correlationId, '7');
});

test('large messages, both ways', async () => {
  const queue = await exclusive();
  const body = Buffer.alloc(3 * 1024 * 1024, 'abc');
  channel.sendToQueue(queue, body);
  const [message] = await received(queue, 1, { noAck: true });
  assert.ok(message.content.equals(body));
});

test('priority queues order', async () => {
  const queue = await exclusive({ maxPriority: 5 });
  for (const priority of [1, 5, 3]) channel.sendToQueue(queue, Buffer.from(String(priority)), { priority });
  await channel.checkQueue(queue);
  const messages = await received(queue, 3, { noAck: true });
  assert.deepStrictEqual(messages.map((message) => message.content.toString()), ['5', '3', '1']);
});

test('errors carry code and text', async () => {
  assert.strictEqual((await channelError((dying) => dying.checkQueue(name('absent')))).code, 404);
  assert.strictEqual((await channelError((dying) => dying.checkExchange(name('absent')))).code, 404);
  const { queue } = await channel.assertQueue(name(), { exclusive: true });
  const inequivalent = await channelError((dying) => dying.assertQueue(queue, { exclusive: true, messageTtl: 5 }));
  assert.strictEqual(inequivalent.code, 406);
  assert.match(inequivalent.message, /inequivalent arg 'x-message-ttl'/);
  assert.strictEqual((await channelError((dying) => dying.assertQueue('amq.mine'))).code, 403);
});

test('an exclusive queue is locked for another connection', async () => {
  const queue = await exclusive();
  const other = await amqp.connect(url);
  const stranger = await other.createChannel();
  const refused = once(stranger, 'error');
  stranger.checkQueue(queue).catch(() => {});
  const [error] = await refused;
  assert.strictEqual(error.code, 405);
  await other.close();
});

test('a refused login is told', async () => {
  const wrong = url.replace('guest:guest', 'guest:wrong');
  await assert.rejects(amqp.connect(wrong), /403|ACCESS.REFUSED/);
});

test('heartbeats keep a quiet connection', async () => {
  const quiet = await amqp.connect(`${url}?heartbeat=1`);
  await new Promise((resolve) => { setTimeout(resolve, 3500); });
  const alive = await quiet.createChannel();
  await alive.assertQueue('', { exclusive: true });
  await quiet.close();
});

test('recover requeues', async () => {
  const queue = await exclusive();
  channel.sendToQueue(queue, Buffer.from('m'));
  await channel.get(queue);
  await channel.recover();
  const again = await channel.get(queue, { noAck: true });
  assert.strictEqual(again.fields.redelivered, true);
});
