// One visit of MQTT.js: takes what is asked as JSON, prints what it saw as JSON.
"use strict";

const fs = require("fs");
const mqtt = require("mqtt");

const asked = JSON.parse(process.argv[2]);
const heard = [];
let enough = () => {};

setTimeout(() => { console.error("not done in time; heard: " + heard); process.exit(1); }, 15000).unref();

const client = mqtt.connect(asked.url, {
  protocolId: asked.level === 3 ? "MQIsdp" : "MQTT",
  protocolVersion: asked.level,
  clientId: asked.client_id,
  username: asked.username,
  password: asked.password,
  clean: !asked.kept,
  reconnectPeriod: 0,
  ca: asked.authority ? fs.readFileSync(asked.authority) : undefined,
  properties: asked.level === 5 ? { sessionExpiryInterval: asked.kept ? 3600 : 0 } : undefined,
});
client.on("error", (error) => { console.error(error); process.exit(1); });
client.on("message", (_topic, payload) => { heard.push(payload.toString()); if (heard.length >= asked.hear) enough(); });
client.on("connect", async (connack) => {
  if (asked.subscribe) {
    const granted = await client.subscribeAsync(asked.topic, { qos: 2 });
    if (granted[0].qos !== 2) throw new Error("granted: " + JSON.stringify(granted));
  }
  for (const [payload, qos] of asked.publish) await client.publishAsync(asked.topic, payload, { qos });
  if (heard.length < asked.hear) await new Promise((resolve) => { enough = resolve; });
  await client.endAsync();
  console.log(JSON.stringify({ present: asked.level === 3 ? null : connack.sessionPresent, heard }));
});
