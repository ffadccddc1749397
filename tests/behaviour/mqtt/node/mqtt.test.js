// MQTT.js over TCP in versions 3.1, 3.1.1 and 5. MQTT_URL says where.
const assert = require("node:assert");
const { once } = require("node:events");
const test = require("node:test");
const mqtt = require("mqtt");

const url = process.env.MQTT_URL;
const versions = [
  { protocolId: "MQIsdp", protocolVersion: 3 },
  { protocolVersion: 4 },
  { protocolVersion: 5 },
];
let topics = 0;
const fresh = () => `mqttjs/${process.pid}/${(topics += 1)}`;

async function connected(context, options) {
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0, ...options });
  context.after(() => client.endAsync(true));
  return client;
}

async function message(client) {
  const [topic, payload, packet] = await once(client, "message");
  return { topic, payload: payload.toString(), packet };
}

for (const version of versions) {
  const name = `version ${version.protocolVersion}`;

  for (const qos of [0, 1, 2]) {
    test(`${name}: QoS ${qos}`, async (context) => {
      const client = await connected(context, version);
      const topic = fresh();
      await client.subscribeAsync(`${topic}/#`, { qos });
      const [received] = await Promise.all([message(client), client.publishAsync(`${topic}/x`, "m", { qos })]);
      assert.deepStrictEqual([received.topic, received.payload, received.packet.qos], [`${topic}/x`, "m", qos]);
    });
  }

  test(`${name}: retained`, async (context) => {
    const client = await connected(context, version);
    const topic = fresh();
    await client.publishAsync(topic, "kept", { qos: 1, retain: true });
    const [received] = await Promise.all([message(client), client.subscribeAsync(topic, { qos: 1 })]);
    assert.ok(received.packet.retain);
    assert.strictEqual(received.payload, "kept");
    await client.publishAsync(topic, "", { qos: 1, retain: true });
  });

  test(`${name}: a will`, async (context) => {
    const watcher = await connected(context, version);
    const topic = fresh();
    await watcher.subscribeAsync(topic, { qos: 1 });
    const doomed = await connected(context, { ...version, will: { topic, payload: Buffer.from("gone"), qos: 1 } });
    const [received] = await Promise.all([message(watcher), doomed.stream.destroy()]);
    assert.strictEqual(received.payload, "gone");
  });

  test(`${name}: a session that stays`, async (context) => {
    const stays = { ...version, clean: false, clientId: `stays-${process.pid}-${(topics += 1)}` };
    if (version.protocolVersion === 5) stays.properties = { sessionExpiryInterval: 300 };
    const topic = fresh();
    const first = await mqtt.connectAsync(url, { reconnectPeriod: 0, ...stays });
    await first.subscribeAsync(topic, { qos: 2 });
    await first.endAsync();
    const publisher = await connected(context, version);
    await publisher.publishAsync(topic, "kept", { qos: 2 });
    const second = mqtt.connect(url, { reconnectPeriod: 0, ...stays });
    context.after(() => second.endAsync(true));
    const received = await message(second);
    assert.deepStrictEqual([received.payload, received.packet.qos], ["kept", 2]);
  });

  test(`${name}: a group shares`, async (context) => {
    const topic = fresh();
    const members = [await connected(context, version), await connected(context, version)];
    const heard = [[], []];
    members.forEach((member, index) => member.on("message", (_, payload) => heard[index].push(payload.toString())));
    for (const member of members) await member.subscribeAsync(`$share/group/${topic}`, { qos: 1 });
    for (let number = 0; number < 10; number += 1) await members[0].publishAsync(topic, `${number}`, { qos: 1 });
    while (heard[0].length + heard[1].length < 10) await once(heard[0].length < 5 ? members[0] : members[1], "message");
    assert.deepStrictEqual([heard[0].length, heard[1].length], [5, 5]);
    assert.strictEqual(new Set([...heard[0], ...heard[1]]).size, 10);
  });
}

test("version 5: properties", async (context) => {
  const client = await connected(context, { protocolVersion: 5 });
  const topic = fresh();
  const properties = {
    contentType: "text/plain",
    responseTopic: "answers",
    correlationData: Buffer.from([0, 1, 2]),
    userProperties: { k: ["1", "2"], other: "x" },
  };
  await client.subscribeAsync(topic, { qos: 1, properties: { subscriptionIdentifier: 7 } });
  const [received] = await Promise.all([message(client), client.publishAsync(topic, "m", { qos: 1, properties })]);
  const found = received.packet.properties;
  assert.strictEqual(found.contentType, "text/plain");
  assert.strictEqual(found.responseTopic, "answers");
  assert.deepStrictEqual(found.correlationData, properties.correlationData);
  assert.deepStrictEqual({ ...found.userProperties }, properties.userProperties);
  assert.deepStrictEqual([].concat(found.subscriptionIdentifier), [7]);
});
