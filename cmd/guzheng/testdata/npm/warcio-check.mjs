// Reads a WARC file with warcio and prints one JSON object: how many records of
// which type there are and, for each record, whether its digests hold.
//
//   node warcio-check.mjs FILE.warc.gz [MODULES]
//
// MODULES is the folder that holds the package warcio (a node_modules folder);
// without it the one beside this file. A digest is "ok", "mismatch", "absent",
// "unknown" (an algorithm this script does not know) or "elsewhere" (the payload
// digest of a revisit is about another record). Exit code 0 when every record
// was read and no digest is a mismatch, 1 otherwise, 2 for wrong usage.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [file, modules] = process.argv.slice(2);
if (!file) {
  console.error("usage: node warcio-check.mjs FILE.warc.gz [MODULES]");
  process.exit(2);
}
const home = resolve(modules ?? resolve(dirname(fileURLToPath(import.meta.url)), "node_modules"));
const { WARCParser } = await import(pathToFileURL(resolve(home, "warcio/dist/index.js")).href);

const algorithms = { sha1: "sha1", sha256: "sha256", "sha-256": "sha256", sha512: "sha512" };
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

function base32(bytes) {
  let bits = 0;
  let held = 0;
  let out = "";
  for (const b of bytes) {
    held = (held << 8) | b;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += alphabet[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  if (bits > 0) out += alphabet[(held << (5 - bits)) & 31];
  return out;
}

function check(claim, bytes) {
  if (!claim) return "absent";
  const colon = claim.indexOf(":");
  const name = algorithms[claim.slice(0, colon).toLowerCase()];
  if (!name) return "unknown";
  const value = claim.slice(colon + 1).replace(/=+$/, "");
  const sum = createHash(name).update(bytes).digest();
  const held = [sum.toString("hex"), base32(sum)];
  return held.includes(value.toLowerCase()) || held.includes(value.toUpperCase()) ? "ok" : "mismatch";
}

function payload(type, block) {
  if (!/^application\/http\b/i.test(type ?? "")) return block;
  const end = Buffer.from(block.buffer, block.byteOffset, block.byteLength).indexOf("\r\n\r\n");
  return end < 0 ? block.subarray(block.length) : block.subarray(end + 4);
}

const out = { file, records: [], types: {}, digests: {}, warnings: [], error: null };
const note = (...words) => out.warnings.push(words.join(" "));
console.warn = note;

// The first pass takes every block as bytes and holds the digests against it.
async function blocks() {
  const parser = new WARCParser(createReadStream(file), { keepHeadersCase: true, parseHttp: false });
  for await (const record of parser) {
    const h = new Map([...record.warcHeaders.headers].map(([k, v]) => [k.toLowerCase(), v]));
    const block = await record.readFully(false);
    const type = h.get("warc-type");
    const length = Number(h.get("content-length"));
    const row = {
      offset: parser.offset,
      type,
      id: h.get("warc-record-id"),
      url: h.get("warc-target-uri") ?? null,
      length,
      truncated: h.get("warc-truncated") ?? null,
      block: check(h.get("warc-block-digest"), block),
      payload: type === "revisit" ? "elsewhere" : check(h.get("warc-payload-digest"), payload(h.get("content-type"), block)),
    };
    if (block.length !== length) note(`record at ${row.offset}: ${block.length} bytes, Content-Length says ${length}`);
    out.records.push(row);
    out.types[type] = (out.types[type] ?? 0) + 1;
    for (const kind of ["block", "payload"]) {
      const key = `${kind}.${row[kind]}`;
      out.digests[key] = (out.digests[key] ?? 0) + 1;
    }
  }
}

// The second pass lets warcio take the HTTP messages apart.
async function messages() {
  let i = 0;
  for await (const record of WARCParser.iterRecords(createReadStream(file), { keepHeadersCase: true })) {
    const row = out.records[i];
    i += 1;
    if (!row) {
      note("the two passes found different records");
      continue;
    }
    if (record.warcType === "response") row.status = Number(record.httpHeaders?.statusCode ?? 0);
    if (record.warcType === "request") row.method = record.httpHeaders?.method ?? null;
    await record.readFully(false);
  }
  if (i !== out.records.length) note("the two passes found different records");
}

try {
  await blocks();
  await messages();
} catch (e) {
  out.error = String(e?.message ?? e);
}
out.count = out.records.length;
console.log(JSON.stringify(out));
const bad = out.error !== null || out.count === 0 || out.warnings.length > 0
  || out.records.some((r) => r.block === "mismatch" || r.payload === "mismatch");
process.exitCode = bad ? 1 : 0;
