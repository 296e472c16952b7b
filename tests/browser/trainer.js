// A trainer that writes event files as TensorFlow does: node trainer.js [--steps N] [--pause MS] and the
// parameters and --job-dir that hptune appends. Each value is flushed at once, and its moment is told on stdout.

import fs from "node:fs";
import path from "node:path";

const options = {};
for (let words = process.argv.slice(2); words.length > 0;) {
  const [, name, value] = words.shift().match(/^--([^=]+)(?:=(.*))?$/s);
  options[name] = value ?? words.shift();
}
const nSteps = Number(options.steps ?? 60),
  pauseMs = Number(options.pause ?? 100);
const rate = Number(options.learning_rate ?? 0.1),
  layers = Number(options.layers ?? 2);

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0x82f63b78 : n >>> 1;
  return n >>> 0;
});

/** The masked checksum of TensorFlow's records. */
function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (table[(crc ^ byte) & 255] ^ (crc >>> 8)) >>> 0;
  crc = (crc ^ 0xffffffff) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function record(event) {
  const out = Buffer.alloc(16 + event.length);
  out.writeBigUInt64LE(BigInt(event.length), 0);
  out.writeUInt32LE(checksum(out.subarray(0, 8)), 8);
  event.copy(out, 12);
  out.writeUInt32LE(checksum(event), 12 + event.length);
  return out;
}

const varint = (n) => {
  const out = [];
  while (n > 127) {
    out.push((n % 128) | 128);
    n = Math.floor(n / 128);
  }
  return Buffer.from([...out, n]);
};
const piece = (field, bytes) => Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
const wallTime = () => {
  const out = Buffer.alloc(9);
  out[0] = 9;
  out.writeDoubleLE(Date.now() / 1000, 1);
  return out;
};

function scalar(step, tag, value) {
  const simple = Buffer.alloc(5);
  simple[0] = 0x15;
  simple.writeFloatLE(value, 1);
  return Buffer.concat([
    wallTime(),
    Buffer.from([16]),
    varint(step),
    piece(5, piece(1, Buffer.concat([piece(1, Buffer.from(tag)), simple]))),
  ]);
}

const directory = path.join(options["job-dir"], "eval");
fs.mkdirSync(directory, { recursive: true });
const file = fs.openSync(path.join(directory, `events.out.tfevents.${Math.floor(Date.now() / 1000)}.test`), "a");
fs.writeSync(file, record(Buffer.concat([wallTime(), piece(3, Buffer.from("brain.Event:2"))])));
const quality = 0.95 - 0.08 * Math.abs(Math.log10(rate) + 2) - 0.02 * Math.abs(layers - 3);
for (let step = 0; step < nSteps; step++) {
  const value = quality * (1 - Math.exp(-(step + 1) / 8));
  fs.writeSync(
    file,
    Buffer.concat([record(scalar(step, "accuracy", value)), record(scalar(step, "loss", step % 20 === 19 ? NaN : 1.2 - value))]),
  );
  process.stdout.write(`step ${step} accuracy ${value.toFixed(4)} at ${Date.now()}\n`);
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}
