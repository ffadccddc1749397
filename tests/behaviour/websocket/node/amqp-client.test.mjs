// @cloudamqp/amqp-client over WebSocket, in Node: it names no subprotocol. WEBSOCKET_URL: ws://host:port
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";

globalThis.WebSocket ??= WebSocket;
const { AMQPWebSocketClient } = await import("@cloudamqp/amqp-client/amqp-websocket-client");

let client, channel;

before(async () => {
  client = new AMQPWebSocketClient(`${process.env.WEBSOCKET_URL}/amqp`, "/", "guest", "guest");
  const connection = await client.connect();
  channel = await connection.channel();
});

after(() => client.close());

test("a confirmed publish reaches a consumer", async () => {
  await channel.confirmSelect();
  await channel.queueDeclare("websocket-confirmed", { durable: true });
  await channel.basicPublish("", "websocket-confirmed", "hello", { deliveryMode: 2, contentType: "text/plain" });
  const message = await new Promise((resolve) => channel.basicConsume("websocket-confirmed", { noAck: false }, resolve));

  assert.equal(message.bodyString(), "hello");
  assert.equal(message.properties.contentType, "text/plain");
  await message.ack();
  await channel.queueDelete("websocket-confirmed");
});

test("large bodies cross many frames both ways", async () => {
  const body = new Uint8Array(1_500_000).map((_, index) => (index * 7) % 251);
  const { name } = await channel.queueDeclare("", { exclusive: true });
  await channel.basicPublish("", name, body);
  const message = await channel.basicGet(name, { noAck: true });

  assert.deepEqual(message.body, body);
});

test("ten thousand small messages keep their order", async () => {
  const { name } = await channel.queueDeclare("", { exclusive: true });
  const seen = [];
  const all = new Promise((resolve) => {
    channel.basicConsume(name, { noAck: true }, (message) => {
      seen.push(Number(message.bodyString()));
      if (seen.length === 10_000) resolve();
    });
  });
  for (let number = 0; number < 10_000; number += 1) channel.basicPublish("", name, String(number));
  await all;

  assert.deepEqual(seen, [...seen.keys()]);
});

test("a wrong password is told in AMQP's words", async () => {
  const other = new AMQPWebSocketClient(`${process.env.WEBSOCKET_URL}/amqp`, "/", "guest", "wrong");
  other.onerror = () => {};

  await assert.rejects(other.connect(), /ACCESS_REFUSED|closed/i);
});
