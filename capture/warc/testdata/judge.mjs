// Reads a WARC with warcio.js and prints one JSON line per record: what an
// independent reader makes of it. Arguments: module directory, file.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pathToFileURL } from "node:url";

const [, , dir, file] = process.argv;
const { WARCParser } = await import(pathToFileURL(dir + "/dist/index.js"));
const parser = new WARCParser(createReadStream(file), { keepHeadersCase: true });
for await (const r of parser) {
  const payload = await r.readFully(false);
  await r.skipFully();
  const sum = "sha256:" + createHash("sha256").update(payload ?? "").digest("hex");
  console.log(JSON.stringify({
    type: r.warcType, uri: r.warcTargetURI ?? "", claimed: r.warcPayloadDigest ?? "", payload: sum,
    status: r.httpHeaders?.statusline ?? "", offset: parser.offset,
  }));
}
