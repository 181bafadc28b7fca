#!/usr/bin/env python3
"""A second reader of packages and seals, written from preserve/FORMAT.md.

    reader.py --trust TRUST.json PACKAGE.wacz [SEAL.json]
    reader.py --vectors DIRECTORY

It needs the standard library of Python 3.11 and the openssl command (3.0),
and shares no code and no library with the verifier in Go: its own ZIP, DER
and JSON forms, Merkle proofs and rules; signatures, certificates and time
stamps by openssl. It prints the outcome of each layer and every check as
JSON. With --vectors it holds itself against verdicts.json and prints where
it differs.

Exit codes: 0 nothing failed, 1 vectors differ, 4 a check failed, 2 usage.

It is one file, long as it is, so that it can be handed over as one.

Trust: nothing in a package or seal is believed. Packages are read into
memory; it is meant for vectors and for second opinions, not for bulk.
"""

import base64
import binascii
import datetime
import functools
import glob
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib

PASSED, FAILED, UNKNOWN = "passed", "failed", "cannot tell"
STAMP = ("imprint", "nonce", "policy", "signature", "chain", "identity")
LIST, DIGEST = "datapackage.json", "datapackage-digest.json"
TAKE, WARC, INDEX, PAGES = "evidence/take.json", "archive/data.warc.gz", "indexes/index.cdx", "pages/pages.jsonl"
PRACTICE_POLICY = "1.3.6.1.4.1.32473.1.1"
PRACTICE_NAME = "PRACTICE ONLY - this machine's own clock - no third party"
P384_SPKI = bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004")
P384_ORDER = int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)


class Bad(Exception):
    """What is wrong with what was read."""


def want(condition, why):
    if not condition:
        raise Bad(why)


def sha256(b):
    return hashlib.sha256(b).hexdigest()


def sm3(b):
    return hashlib.new("sm3", b).hexdigest()


def digest(b):
    return {"bytes": len(b), "sha256": sha256(b), "sm3": sm3(b)}


# --- JSON -----------------------------------------------------------------

def pairs_once(pairs):
    out = dict(pairs)
    want(len(out) == len(pairs), "a member stands twice")
    return out


def parse(b):
    """JSON in UTF-8, without a byte order mark."""
    try:
        return json.loads(b.decode("utf-8"), object_pairs_hook=pairs_once)
    except (ValueError, RecursionError) as e:
        raise Bad(f"no JSON: {e}") from e


def parse_object(b):
    v = parse(b)
    want(isinstance(v, dict), "not an object")
    return v


def indented(v, html):
    """The one form of a JSON text (FORMAT.md, section 2.11)."""
    text = json.dumps(v, indent=2, ensure_ascii=False)
    escaped = "\u2028\u2029" + ("<>&" if html else "")
    for c in escaped:
        text = text.replace(c, f"\\u{ord(c):04x}")
    return (text + "\n").encode("utf-8")


def b64(s):
    if s is None:
        return b""
    try:
        b = base64.b64decode(s, validate=True)
    except (binascii.Error, ValueError, TypeError) as e:
        raise Bad(f"no base64: {e}") from e
    want(base64.b64encode(b).decode() == s, "base64 not in its one form")
    return b


# --- ZIP ------------------------------------------------------------------

class Zip:
    """The ZIP of a package, every byte of it accounted for (section 1)."""

    def __init__(self, b):
        want(len(b) >= 22 and b[-22:-18] == b"PK\5\6", "no end record in the last 22 bytes")
        count, size, offset = struct.unpack("<HII", b[-12:-2])
        if b[-42:-38] == b"PK\6\7":
            want(len(b) >= 98, "too short for 64-bit records")
            count, size, offset = struct.unpack("<QQQ", b[-98 + 32:-98 + 56])
        want(count <= 50000 and offset + size <= len(b), "directory lies outside")
        self.data, self.crc, self.names = {}, {}, []
        entries, p, at = [], offset, 0
        while p < offset + size:
            want(b[p:p + 4] == b"PK\1\2" and p + 46 <= len(b), "directory entry expected")
            method, time, date, crc, _, n, name, extra, comment = struct.unpack("<HHHIIIHHH", b[p + 10:p + 34])
            where = struct.unpack("<I", b[p + 42:p + 46])[0]
            raw = b[p + 46:p + 46 + name]
            more = b[p + 46 + name:p + 46 + name + extra]
            want(method == 0, "an entry is not stored")
            if more[:2] == b"\1\0":
                more = more[4:]
                if n == 0xFFFFFFFF and len(more) >= 16:
                    n, more = struct.unpack("<Q", more[:8])[0], more[16:]
                if where == 0xFFFFFFFF and len(more) >= 8:
                    where = struct.unpack("<Q", more[:8])[0]
            entries.append((raw, time, date, crc, n, where))
            p += 46 + name + extra + comment
        want(len(entries) == count, "another number of entries")
        self.check_names([e[0] for e in entries])
        out, central = [], b""
        for (raw, _, _, crc, n, where), name in zip(entries, self.names):
            want(where == at, "a gap, or entries overlap")
            head = local_header(raw, entries[-1][1:3], crc, n)
            data = b[at + len(head):at + len(head) + n]
            want(len(data) == n, "an entry reaches beyond the file")
            out += [head, data]
            at += len(head) + n
            self.data[name], self.crc[name] = data, crc
            central += central_header(raw, entries[-1][1:3], crc, n, where)
        want(b"".join(out) + central + end_records(count, len(central), at) == b, "not in canonical form")

    def check_names(self, raws):
        folded = {}
        for raw in raws:
            try:
                name = raw.decode("utf-8")
            except UnicodeDecodeError as e:
                raise Bad("a path is not UTF-8") from e
            want(0 < len(raw) <= 1024 and not re.search(r"[\x00-\x1f\x7f\\:]", name), f"path {name!r}")
            want(not any(s in ("", ".", "..") for s in name.split("/")), f"path {name!r}")
            want(name.lower() not in folded, f"two paths {name!r}, or they differ in case only")
            folded[name.lower()] = name
            self.names.append(name)
        for name in self.names:
            parts = name.lower().split("/")
            for i in range(1, len(parts)):
                want("/".join(parts[:i]) not in folded, f"{name!r} lies below a file")

    def read(self, name):
        """A file whose CRC-32 holds."""
        want(name in self.data, f"no file {name}")
        want(zlib.crc32(self.data[name]) == self.crc[name], f"CRC-32 of {name}")
        return self.data[name]


def common(raw, when, crc, n, extra):
    low = min(n, 0xFFFFFFFF)
    return struct.pack("<HHHHIIIHH", 0x0800, 0, *when, crc, low, low, len(raw), len(extra))


def local_header(raw, when, crc, n):
    extra = struct.pack("<HHQQ", 1, 16, n, n) if n >= 0xFFFFFFFF else b""
    return b"PK\3\4" + struct.pack("<H", 45 if extra else 20) + common(raw, when, crc, n, extra) + raw + extra


def central_header(raw, when, crc, n, where):
    extra = struct.pack("<QQ", n, n) if n >= 0xFFFFFFFF else b""
    extra += struct.pack("<Q", where) if where >= 0xFFFFFFFF else b""
    extra = struct.pack("<HH", 1, len(extra)) + extra if extra else b""
    return (b"PK\1\2" + struct.pack("<HH", 0x032D, 45 if extra else 20) + common(raw, when, crc, n, extra)
            + struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, min(where, 0xFFFFFFFF)) + raw + extra)


def end_records(count, size, offset):
    out = b""
    if count >= 0xFFFF or size >= 0xFFFFFFFF or offset >= 0xFFFFFFFF:
        out = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 0x032D, 45, 0, 0, count, count, size, offset)
        out += b"PK\6\7" + struct.pack("<IQI", 0, offset + size, 1)
    count = min(count, 0xFFFF)
    return out + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, min(size, 0xFFFFFFFF), min(offset, 0xFFFFFFFF), 0)


# --- openssl --------------------------------------------------------------

def openssl(*args, files):
    """Runs openssl; {name} in an argument is a file with these bytes."""
    return run_openssl(args, tuple(sorted(files.items())))


@functools.cache  # vectors share stamps and packages
def run_openssl(args, files):
    with tempfile.TemporaryDirectory() as d:
        paths = {name: os.path.join(d, name) for name, _ in files}
        for name, b in files:
            with open(paths[name], "wb") as f:
                f.write(b)
        p = subprocess.run(["openssl"] + [a.format(**paths) for a in args], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return p.returncode == 0, p.stdout


def ecdsa(spki, sig, message):
    """An ECDSA signature (ASN.1 DER) with curve P-384 and SHA-256."""
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(spki) + b"-----END PUBLIC KEY-----\n"
    return openssl("dgst", "-sha256", "-verify", "{key}", "-signature", "{sig}", "{msg}", files={"key": pem, "sig": sig, "msg": message})[0]


def p384(spki):
    return spki.startswith(P384_SPKI) and len(spki) == 120


# --- DER ------------------------------------------------------------------

def der(b):
    """The values side by side in b: (tag, content, whole)."""
    out = []
    while b:
        want(len(b) >= 2 and b[0] & 0x1F != 0x1F, "DER value")
        n, head = b[1], 2
        if n & 0x80:
            k = n & 0x7F
            want(0 < k <= 4 and len(b) >= 2 + k, "DER length")
            n, head = int.from_bytes(b[2:2 + k], "big"), 2 + k
            want(n >= 0x80 and (k == 1 or n >> (8 * (k - 1))), "DER length in its shortest form")
        want(len(b) >= head + n, "DER value cut off")
        out.append((b[0], b[head:head + n], b[:head + n]))
        b = b[head + n:]
    return out


def der_one(b, tag):
    v = der(b)
    want(len(v) == 1 and v[0][0] == tag, "one DER value expected")
    return v[0][1]


def oid(b):
    out, n = [], 0
    for c in b:
        n = n << 7 | c & 0x7F
        if not c & 0x80:
            out, n = out + [n], 0
    first = min(out[0] // 40, 2)
    return ".".join(map(str, [first, out[0] - 40 * first] + out[1:]))


def der_int(n):
    b = n.to_bytes(n.bit_length() // 8 + 1, "big")
    return b"\2" + bytes([len(b)]) + b


def der_signature(r, s):
    body = der_int(r) + der_int(s)
    return (b"\x30" + bytes([len(body)]) if len(body) < 128 else b"\x30\x81" + bytes([len(body)])) + body


def der_time(tag, b):
    text = b.decode("ascii")
    if tag == 0x17:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    text = re.sub(r"\.\d+", "", text)
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.timezone.utc)


class Certificate:
    def __init__(self, whole):
        self.der = whole
        tbs = der(der(der_one(whole, 0x30))[0][1])
        tbs = tbs[1:] if tbs[0][0] == 0xA0 else tbs
        self.serial, self.issuer, self.subject = tbs[0][1], tbs[2], tbs[4]
        self.not_before, self.not_after = (der_time(t, c) for t, c, _ in der(tbs[3][1]))
        self.purposes, self.critical, self.ca = [], False, False
        for tag, content, _ in tbs[6:]:
            for _, ext, _ in der(der_one(content, 0x30)) if tag == 0xA3 else []:
                self.extension(der(ext))

    def extension(self, parts):
        name, value = oid(parts[0][1]), parts[-1][1]
        if name == "2.5.29.37":
            self.critical = parts[1][:2] == (1, b"\xff")
            self.purposes = [oid(c) for _, c, _ in der(der_one(value, 0x30))]
        if name == "2.5.29.19":
            self.ca = any(t == 1 and c == b"\xff" for t, c, _ in der(der_one(value, 0x30)))

    def names(self, which, kind):
        return [der(a)[1][1].decode("utf-8", "replace") for _, rdn, _ in der(which[1]) for _, a, _ in der(rdn) if oid(der(a)[0][1]) == kind]

    def common_name(self, which):
        return (self.names(which, "2.5.4.3") or [""])[-1]

    def pem(self):
        return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(self.der) + b"-----END CERTIFICATE-----\n"

    def stamps_only(self):
        """An end-entity certificate, critically for time stamping alone."""
        return not self.ca and self.critical and self.purposes == ["1.3.6.1.5.5.7.3.8"]


def imprint_of(content):
    algorithm, hashed = der(content)
    return oid(der(algorithm[1])[0][1]), hashed[1]


class Request:
    """A TimeStampReq (RFC 3161 section 2.4.1)."""

    def __init__(self, b):
        parts = der(der_one(b, 0x30))
        self.imprint = imprint_of(parts[1][1])
        rest = parts[2:]
        self.policy = next((oid(c) for t, c, _ in rest if t == 6), "")
        self.nonce = next((c for t, c, _ in rest if t == 2), None)


class Token:
    """A TimeStampResp that granted a token (section 2.4.2), in DER."""

    def __init__(self, b):
        parts = der(der_one(b, 0x30))
        want(parts and parts[0][0] == 0x30 and der(parts[0][1])[0][1] in (b"\0", b"\1") and len(parts) == 2, "no token was granted")
        self.cms = parts[1][2]
        content = der(parts[1][1])
        want(oid(content[0][1]) == "1.2.840.113549.1.7.2", "no SignedData")
        signed = der(der_one(content[1][1], 0x30))
        encap = der(signed[2][1])
        want(oid(encap[0][1]) == "1.2.840.113549.1.9.16.1.4", "no TSTInfo")
        self.info = der_one(encap[1][1], 4)
        self.certificates = [Certificate(w) for t, c, _ in signed[3:] if t == 0xA0 for _, _, w in der(c)]
        signers = der(signed[-1][1])
        self.signer, self.attributes = None, {}
        if len(signers) == 1:
            self.read_signer(der(signers[0][1]))
        info = der(der_one(self.info, 0x30))
        self.policy, self.imprint = oid(info[1][1]), imprint_of(info[2][1])
        self.time = der_time(info[4][0], info[4][1])
        self.nonce = next((c for t, c, _ in info[5:] if t == 2), None)

    def read_signer(self, parts):
        issuer, serial = der(parts[1][1])
        self.signer = next((c for c in self.certificates if c.issuer[2] == issuer[2] and c.serial == serial[1]), None)
        for tag, content, _ in parts[3:]:
            if tag == 0xA0:
                self.attributes = {oid(der(a)[0][1]): der(a)[1][1] for _, a, _ in der(content)}

    def names_signer(self):
        """ESSCertID (SHA-1) or ESSCertIDv2 names the signer's certificate."""
        for kind, default in (("1.2.840.113549.1.9.16.2.47", "sha256"), ("1.2.840.113549.1.9.16.2.12", "sha1")):
            if kind in self.attributes:
                first = der(der(der(der_one(self.attributes[kind], 0x30))[0][1])[0][1])
                algorithm = oid(der(first[0][1])[0][1]) if first[0][0] == 0x30 else ""
                name = {"": default, "2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384", "2.16.840.1.101.3.4.2.3": "sha512"}.get(algorithm)
                hashed = next(c for t, c, _ in first if t == 4)
                return name is not None and hashlib.new(name, self.signer.der).digest() == hashed
        return False

    def signed(self):
        """The CMS signature over the TSTInfo, by the certificate in it."""
        if self.signer is None or oid(der_one(self.attributes.get("1.2.840.113549.1.9.3", b""), 6)) != "1.2.840.113549.1.9.16.1.4":
            return False
        ok, out = openssl("cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", "{cms}", files={"cms": self.cms})
        return ok and out == self.info


# --- Trees ----------------------------------------------------------------

def leaf_hash(b):
    return hashlib.sha256(b"\0" + b).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_root(leaves):
    """RFC 6962 section 2.1."""
    if len(leaves) < 2:
        return leaf_hash(leaves[0]) if leaves else hashlib.sha256().digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(tree_root(leaves[:k]), tree_root(leaves[k:]))


def included(leaf, index, size, proof, root):
    """RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, leaf_hash(leaf)
    for p in proof:
        if sn == 0 or len(p) != 32:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


# --- WARC -----------------------------------------------------------------

def fields(lines, strict):
    out = []
    for line in lines:
        name, colon, value = line.partition(b":")
        want(not strict or colon and name and name == name.strip(), "a WARC field has no name")
        out.append((name.decode("latin-1").lower(), value.strip().decode("utf-8", "replace")))
    return out


def head_and_rest(b):
    """The lines up to an empty one, and what follows. None: no empty line."""
    lines, at = [], 0
    while True:
        end = b.find(b"\n", at)
        if end < 0:
            return None, b""
        line, at = b[at:end].removesuffix(b"\r"), end + 1
        if not line:
            return lines, b[at:]
        lines.append(line)


class Record:
    def __init__(self, offset, member, plain):
        self.offset, self.member = offset, member
        lines, rest = head_and_rest(plain)
        want(lines and lines[0] in (b"WARC/1.0", b"WARC/1.1"), "no WARC record")
        header = fields(lines[1:], True)
        for name in ("warc-type", "warc-record-id", "warc-date", "content-length", "content-type", "warc-target-uri", "warc-block-digest", "warc-payload-digest"):
            want(sum(n == name for n, _ in header) < 2, f"{name} stands twice")
        self.header = dict(reversed(header))
        self.kind, self.id = self.field("warc-type"), self.field("warc-record-id").strip("<>")
        want(self.kind and self.id and re.fullmatch(r"\d+", self.field("content-length")), "a mandatory field is missing")
        want(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", self.field("warc-date")), "WARC-Date")
        n = int(self.field("content-length"))
        self.block = rest[:n]
        want(len(self.block) == n and rest[n:] == b"\r\n\r\n", "length or end of a record")
        self.payload, self.start, self.message = self.block, "", []
        if self.field("content-type").lower().startswith("application/http") and self.kind in ("response", "request", "revisit"):
            lines, self.payload = head_and_rest(self.block)
            if lines:
                self.start, self.message = lines[0].decode("latin-1"), fields(lines[1:], False)

    def field(self, name):
        return self.header.get(name, "")

    def digests_hold(self):
        claims = [(self.field("warc-block-digest"), self.block)]
        if self.kind != "revisit":
            claims.append((self.field("warc-payload-digest"), self.payload))
        return all(not c or c.lower() == "sha256:" + sha256(b) for c, b in claims)

    def indexed(self):
        return self.kind in ("response", "revisit") or self.kind == "resource" and self.field("content-type") != "application/warc-fields"

    def line(self):
        """What the index must say, but for key, method and requestBody."""
        mime, code = self.field("content-type"), self.start.split(" ")[1:2]
        if self.kind == "revisit":
            mime = "warc/revisit"
        elif self.start:
            mime = next((v for n, v in self.message if n == "content-type"), "").split(";")[0].strip()
        out = {"url": self.field("warc-target-uri").strip("<>"), "mime": mime, "status": code[0] if code and len(code[0]) == 3 else "",
               "digest": self.field("warc-payload-digest").partition(":")[2], "length": str(len(self.member)), "offset": str(self.offset),
               "filename": "data.warc.gz", "recordDigest": "sha256:" + sha256(self.member)}
        return re.sub(r"\D", "", self.field("warc-date")[:19]), {k: v for k, v in out.items() if v}


def records(b):
    at = 0
    while at < len(b):
        z = zlib.decompressobj(wbits=31)
        try:
            plain = z.decompress(b[at:])
        except zlib.error as e:
            raise Bad(f"no gzip member at byte {at}: {e}") from e
        want(z.eof, f"gzip member at byte {at} is cut off")
        end = len(b) - len(z.unused_data)
        yield Record(at, b[at:end], plain)
        at = end


# --- The checks -----------------------------------------------------------

class Visit:
    """One verification: section 4, in its order."""

    def __init__(self, package, seal, trust):
        self.bytes, self.seal_bytes, self.trust = package, seal, trust
        self.checks, self.about, self.take, self.signer = [], {}, None, None

    def add(self, name, outcome, why="", subject=""):
        c = {"name": name, "outcome": outcome, "subject": subject, "why": str(why)}
        self.checks.append({k: v for k, v in c.items() if v})

    def run(self):
        self.inside()
        self.beside()
        layers = {}
        for c in self.checks:
            if layers.get(c["name"], PASSED) == PASSED or c["outcome"] == FAILED:
                layers[c["name"]] = c["outcome"]
        found = set(layers.values())
        return {"outcome": FAILED if FAILED in found else UNKNOWN if UNKNOWN in found else PASSED, "layers": layers, "checks": self.checks}

    def attempt(self, name, check):
        """A check that passes, or says by Bad why it failed."""
        try:
            check()
        except Bad as e:
            self.add(name, FAILED, e)
            return False
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, StopIteration) as e:
            self.add(name, FAILED, f"not in its form: {e!r}")
            return False
        self.add(name, PASSED)
        return True

    def inside(self):
        try:
            self.zip = Zip(self.bytes)
        except (Bad, struct.error, IndexError) as e:
            self.add("zip", FAILED, e)
            for name in ("datapackage", "files.sha256", "files.sm3", "take", "raw.root", "warc", "index", "pages", "package.signature"):
                self.add(name, UNKNOWN, "the ZIP is not sound")
            return
        self.add("zip", PASSED)
        for name in self.zip.names:
            if zlib.crc32(self.zip.data[name]) != self.zip.crc[name]:
                self.add("zip", FAILED, "CRC-32", name)
        self.digests = {name: digest(b) for name, b in self.zip.data.items()}
        self.datapackage()
        self.files()
        self.manifest()
        self.raw()
        self.traffic()
        self.attempt("pages", self.pages)
        self.attempt("package.signature", self.package_signature)

    def digest_file(self):
        b = self.zip.read(DIGEST)
        d = parse_object(b)
        s = d.get("signedData")
        want(list(d) == ["path", "hash", "signedData"] and isinstance(s, dict) and list(s) == ["hash", "created", "software", "version", "signature", "publicKey"], "members")
        want(indented(d, False) == b, "not in its one form")
        return d, s

    def datapackage(self):
        def check():
            d = parse_object(self.zip.read(LIST))
            self.about = d
            want((d.get("profile"), d.get("wacz_version"), d.get("format")) == ("data-package", "1.1.1", "guzheng-package/1"), "version")
            paths = [r["path"] for r in d["resources"]]
            want(len(set(paths)) == len(paths), "a file is listed twice")
            want(sorted(paths + [LIST, DIGEST]) == sorted(set(self.zip.names) | {LIST, DIGEST}), "files and list differ")
            f, _ = self.digest_file()
            want(f["path"] == LIST and f["hash"] == "sha256:" + self.digests[LIST]["sha256"], "digest of the list")
        self.attempt("datapackage", check)

    def files(self):
        resources = self.about.get("resources")
        for name, same in (("files.sha256", lambda r, d: r["hash"] == "sha256:" + d["sha256"] and r["bytes"] == d["bytes"]), ("files.sm3", lambda r, d: r["sm3"] == d["sm3"])):
            if resources is None:
                self.add(name, UNKNOWN, "no list")
                continue
            bad = [r["path"] for r in resources if r["path"] not in self.digests or not same(r, self.digests[r["path"]])]
            for path in bad:
                self.add(name, FAILED, "not as listed", path)
            if not bad:
                self.add(name, PASSED)

    def manifest(self):
        def check():
            t = parse_object(self.zip.read(TAKE))
            want(t["format"] == "guzheng-take/1", "format")
            self.take = t
            taken = {f["path"]: {k: f[k] for k in ("bytes", "sha256", "sm3")} for f in t["files"]}
            for path, d in taken.items():
                want(self.digests.get(path) == d, f"{path} is absent or not as taken")
            for path in self.zip.names:
                want(path in taken or path == TAKE or not path.startswith(("evidence/", "archive/")), f"{path} was not taken")
            want(t["order"] == self.about.get("id", ""), "take of another order")
            self.journal(t, taken)
        self.attempt("take", check)

    def journal(self, t, taken):
        path = next((f["path"] for f in t["files"] if f["kind"] == "journal"), None)
        want(path, "no journal")
        told, recovered, state = {}, False, ""
        for line in self.zip.read(path).split(b"\n")[:-1]:  # what follows the last line break was cut off
            e = parse_object(line)
            data = e.get("data") or {}
            if e.get("code") == "file.closed":
                told[data["path"]] = {k: data[k] for k in ("bytes", "sha256", "sm3")}
            recovered = recovered or e.get("code") == "take.interrupted"
            state = data.get("state", "") if e.get("code") == "take.closed" else state
        want(state == t["state"], "another state in the journal")
        for f in t["files"]:
            p = f["path"]
            want(p not in told or told[p] == taken[p], f"{p} has another digest in the journal")
            want(p in told or recovered or f["kind"] in ("journal", "remains"), f"{p} is not in the journal")
        want(recovered or set(told) <= set(taken), "the journal knows of other files")

    def no_stamps(self, prefix, why):
        for layer in STAMP:
            self.add(f"{prefix}.{layer}", UNKNOWN, why)

    def raw(self):
        if "proofs/raw.json" not in self.zip.data:
            self.add("raw.root", UNKNOWN, "no list")
            return self.no_stamps("raw.stamp", "no list")
        root = None

        def check():
            nonlocal root
            r = parse_object(self.zip.read("proofs/raw.json"))
            want(r["format"] == "guzheng-raw/1", "format")
            none = {"bytes": 0, "sha256": "", "sm3": ""}
            paths = sorted([TAKE] + [f["path"] for f in (self.take or {"files": []})["files"]], key=lambda p: p.encode())
            found = [{"path": p, **self.digests.get(p, none)} for p in paths]
            root = tree_root([f"sha256:{f['sha256']} sm3:{f['sm3']} {f['bytes']} {f['path']}\n".encode() for f in found])
            want([{k: f[k] for k in ("path", "bytes", "sha256", "sm3")} for f in r["files"]] == found, "not the files of the take")
            want(r["root"] == root.hex(), "another root")
        self.attempt("raw.root", check)
        if root is None:
            return self.no_stamps("raw.stamp", "no root")
        if "proofs/raw-stamps.json" not in self.zip.data:
            return self.no_stamps("raw.stamp", "no stamps")
        try:
            stamps = parse(self.zip.read("proofs/raw-stamps.json"))
            want(isinstance(stamps, list) and all(isinstance(s, dict) for s in stamps), "no array of stamps")
        except Bad as e:
            return self.add("raw.stamp.signature", FAILED, e)
        return self.stamps("raw.stamp", stamps, root)

    def traffic(self):
        taken = self.take is None or any(f["kind"] == "warc" for f in self.take["files"])
        if taken or WARC in self.zip.data:
            return self.index(self.warc())
        if INDEX not in self.zip.data or self.zip.data[INDEX]:
            self.add("index", FAILED, "no index, or one without traffic")
        return None

    def warc(self):
        """The lines that the index must have, or None."""
        if WARC not in self.zip.data:
            self.add("warc", FAILED if self.take else UNKNOWN, "no traffic")
            return None
        lines, whole = {}, True

        def check():
            nonlocal whole
            bad = []
            for r in records(self.zip.read(WARC)):
                whole = whole and r.digests_hold()
                if not r.field("warc-block-digest") or not r.digests_hold():
                    bad.append(r.id)
                if r.indexed():
                    lines[str(r.offset)] = r.line()
            want(not bad, f"no digest, or a wrong one: {bad}")
        ok = self.attempt("warc", check)
        readable = ok or "no digest" in self.checks[-1]["why"]
        return lines if readable and whole else None

    def index(self, lines):
        def check():
            b = self.zip.read(INDEX)
            rows = b.split(b"\n")
            want(rows.pop() == b"", "no line break at the end")
            want(rows == sorted(rows), "not sorted")
            left = dict(lines)
            for row in rows:
                _, stamp, js = row.split(b" ", 2)
                entry = parse_object(js)
                place = entry["offset"]
                known = {k: entry[k] for k in ("url", "mime", "status", "digest", "length", "offset", "filename", "recordDigest") if entry.get(k)}
                want(left.pop(place, None) == (stamp.decode(), known), f"line for byte {place}")
            want(not left, "a record has no line")
        try:
            self.zip.read(INDEX)
        except Bad as e:
            return self.add("index", FAILED, e)
        if lines is None:
            return self.add("index", UNKNOWN, "the traffic is not sound")
        return self.attempt("index", check)

    def pages(self):
        rows = self.zip.read(PAGES).split(b"\n")
        rows = [parse_object(r) for r in (rows[:-1] if rows[-1] == b"" else rows)]
        want(rows and rows[0].get("format") == "json-pages-1.0", "header")
        main = (self.about.get("mainPageUrl", ""), self.about.get("mainPageDate", ""))
        want(len(rows) == (2 if main[0] else 1), "number of pages")
        want(len(rows) == 1 or (rows[1].get("url"), rows[1].get("ts")) == main, "not the main page")

    def package_signature(self):
        _, s = self.digest_file()
        key, sig, found = b64(s["publicKey"]), b64(s["signature"]), "sha256:" + self.digests.get(LIST, {}).get("sha256", "")
        want(p384(key) and len(sig) == 96, "not of curve P-384")
        want(s["hash"] == found, "about another list")
        want((s["version"], s["created"], s["software"]) == ("0.1.0", self.about.get("created", ""), self.about.get("software", "")), "labels")
        r, t = int.from_bytes(sig[:48], "big"), int.from_bytes(sig[48:], "big")
        want(ecdsa(key, der_signature(r, t), found.encode()), "does not hold")
        self.signer = key

    # The seal.

    def beside(self):
        if self.seal_bytes is None:
            return self.add("seal.present", UNKNOWN, "no seal")
        if not self.attempt("seal.present", self.read_seal):
            return None
        s, self.digest = self.seal, digest(self.bytes)
        self.key = b64(s["signature"]["public_key"])
        self.attempt("seal.digest", self.seal_digest)
        self.attempt("seal.signature", lambda: self.seal_signature(b64(s["signature"]["value"]), self.bytes))
        self.attempt("seal.envelope", self.envelope)
        self.check_signer()
        self.stamps("stamp", s["stamps"] or [], bytes.fromhex(self.digest["sha256"]))
        return self.log(s["log"])

    def read_seal(self):
        b = self.seal_bytes
        s = parse_object(b)
        shape(s, SEAL, "seal")
        want(s["format"] == "guzheng-seal/1" and re.fullmatch(r"GZ-\d{8}-[0-9A-Z]{8}", s["id"]), "format or id")
        want(all(re.fullmatch(r"[0-9a-f]{64}", s["package"][k]) for k in ("sha256", "sm3")), "digest")
        want(indented(s, True) == b, "not in its one form")
        self.seal = s

    def seal_digest(self):
        want(self.seal["package"] == self.digest, "another package")
        want(self.about.get("id", "") in ("", self.seal["id"]), "another order")

    def seal_signature(self, sig, message):
        s = self.seal["signature"]
        want(s["algorithm"] == "ecdsa-p384-sha256" and sha256(self.key) == s["key_id"] and p384(self.key), "key")
        want(ecdsa(self.key, sig, message), "does not hold")

    def envelope(self):
        sig = b64(self.seal["envelope"])
        want(sig, "no envelope")
        b = self.seal_bytes
        self.seal_signature(sig, b[:b.rindex(b'\n  "envelope": ') + 1])
        r, s = (int.from_bytes(c, "big") for _, c, _ in der(der_one(sig, 0x30)))
        want(s <= P384_ORDER - s and der_signature(r, s) == sig, "not the lower value, or not DER")

    def check_signer(self):
        if self.signer is not None and self.signer != self.key:
            return self.add("seal.signer", FAILED, "package and seal are of two keys")
        if not self.trust["signers"]:
            return self.add("seal.signer", UNKNOWN, "no signer is trusted")
        if sha256(self.key) not in self.trust["signers"]:
            return self.add("seal.signer", FAILED, "not a trusted key")
        if self.signer is None:
            return self.add("seal.signer", UNKNOWN, "the package's own signature does not hold")
        return self.add("seal.signer", PASSED)

    # Stamps.

    def stamps(self, prefix, stamps, wanted):
        if not stamps:
            self.no_stamps(prefix, "no stamp")
        for s in stamps:
            if s.get("error") or not s.get("response"):
                self.no_stamps(prefix, "pending")
                continue
            try:
                token = Token(b64(s["response"]))
            except (Bad, IndexError, ValueError, UnicodeDecodeError) as e:
                for layer in STAMP:
                    self.add(f"{prefix}.{layer}", FAILED if layer == "signature" else UNKNOWN, e)
                continue
            for layer, (outcome, why) in self.stamp(s, token, wanted).items():
                self.add(f"{prefix}.{layer}", outcome, why, s["tsa"])

    def stamp(self, s, t, wanted):
        practice = s["tsa"] == "practice" or t.policy == PRACTICE_POLICY or t.signer is not None and PRACTICE_NAME in t.signer.names(t.signer.subject, "2.5.4.10")
        out = {}
        same = t.imprint == ("2.16.840.1.101.3.4.2.1", wanted) and s["imprint"] == wanted.hex()
        out["imprint"] = (PASSED, "") if same else (FAILED, "about another digest")
        asked = ""
        if not s.get("request"):
            out["nonce"] = (UNKNOWN, "no request")
        else:
            try:
                request = Request(b64(s["request"]))
                asked, out["nonce"] = request.policy, nonce(request, t)
            except (Bad, IndexError, ValueError) as e:
                out["nonce"] = (FAILED, e)
        out["policy"] = self.policy(t, asked, practice)
        signed = t.signed()
        own = signed and t.signer.stamps_only()
        out["signature"] = (PASSED, "") if own and t.names_signer() else (FAILED, "does not hold")
        out["chain"] = self.chain(t, own, practice)
        if out["signature"][0] == out["chain"][0] == PASSED and not self.as_openssl_says(b64(s["response"]), t):
            out["signature"] = (FAILED, "openssl ts says otherwise")
        out["identity"] = self.identity(t, practice)
        return out

    def policy(self, t, asked, practice):
        pinned = self.policies(t.signer)
        if asked and asked != t.policy:
            return FAILED, "not the one asked for"
        if pinned and t.policy not in pinned:
            return UNKNOWN if practice else FAILED, "not one that is trusted"
        if not asked and not pinned and t.policy == PRACTICE_POLICY:
            return UNKNOWN, "practice"
        return PASSED, ""

    def policies(self, signer):
        named = [p for p in self.trust["pins"] if names_someone(p)]
        anyone = [p.get("policy", "") for p in self.trust["pins"] if not names_someone(p)]
        own = [p.get("policy", "") for p in named if signer is not None and fits(p, signer)]
        if "" in own:
            own = []
        elif not own:
            own = [p.get("policy", "") for p in named]
        return [p for p in anyone + own if p]

    def chain(self, t, own, practice):
        if t.signer is None:
            return FAILED, "no certificate of the signer"
        if not t.signer.not_before <= t.time <= t.signer.not_after:
            return FAILED, "not valid at the token's time"
        roots = self.trust["roots"]
        if practice:
            roots = b"".join(c.pem() for c in t.certificates if c.ca and c.issuer[2] == c.subject[2])
        if not roots:
            return UNKNOWN, "no root"
        ok, _ = openssl("verify", "-no-CApath", "-no-CAstore", "-partial_chain", "-purpose", "timestampsign", "-attime", str(int(t.time.timestamp())),
                        "-CAfile", "{roots}", "-untrusted", "{more}", "{leaf}",
                        files={"roots": roots, "more": b"".join(c.pem() for c in t.certificates), "leaf": t.signer.pem()})
        if not (ok and own):
            return FAILED, "does not lead to a root"
        return (UNKNOWN, "practice") if practice else (PASSED, "")

    def as_openssl_says(self, response, t):
        return openssl("ts", "-verify", "-digest", t.imprint[1].hex(), "-in", "{reply}", "-CAfile", "{roots}", "-attime", str(int(t.time.timestamp())),
                       files={"reply": response, "roots": self.trust["roots"]})[0]

    def identity(self, t, practice):
        named = [p for p in self.trust["pins"] if names_someone(p)]
        if practice or not named or t.signer is None:
            return UNKNOWN, "practice, or no authority is named"
        if any(p.get("policy", "") in ("", t.policy) and fits(p, t.signer) for p in named):
            return PASSED, ""
        return FAILED, "not an authority that is named"

    # The log.

    def log(self, e):
        leaf, sub = b64(e["leaf"]), e["origin"]
        if not e["checkpoint"]:
            for layer in ("leaf", "inclusion", "checkpoint", "key"):
                self.add(f"log.{layer}", UNKNOWN, "pending", sub)
            if leaf:
                self.checks = [c for c in self.checks if c["name"] != "log.leaf"]
                try:
                    self.event(leaf)
                    self.add("log.leaf", UNKNOWN, "pending", sub)
                except Bad as x:
                    self.add("log.leaf", FAILED, x, sub)
            return
        self.attempt("log.leaf", lambda: self.event(leaf))
        lines = e["checkpoint"].partition("\n\n")[0].split("\n")
        try:
            want("\n\n" in e["checkpoint"] and len(lines) >= 3 and lines[0] and re.fullmatch(r"0|[1-9]\d{0,18}", lines[1]), "form")
            root = b64(lines[2])
            want(len(root) == 32, "root")
        except Bad as x:
            self.add("log.inclusion", UNKNOWN, x)
            self.add("log.checkpoint", FAILED, x)
        else:
            proof = [b64(p) for p in e["proof"] or []]
            self.attempt("log.inclusion", lambda: want(included(leaf, e["index"], int(lines[1]), proof, root), "does not lead to the root"))
            self.attempt("log.checkpoint", lambda: checkpoint(e, lines[0]))
        if not self.trust["logs"]:
            self.add("log.key", UNKNOWN, "no log is trusted", sub)
        else:
            self.add("log.key", PASSED if e["verifier"] in self.trust["logs"] else FAILED, "", sub)

    def event(self, leaf):
        want(0 < len(leaf) < 65536, "length")
        k = parse_object(leaf)
        want(set(k) <= {"event", "time", "package", "key"} and k.get("event") == "kept", "not an event of a package")
        want(k.get("package") == self.digest, "another package")
        want(k.get("key") == sha256(self.key), "another key")


def nonce(request, t):
    if request.nonce is None:
        return UNKNOWN, "none was sent"
    if request.nonce != t.nonce:
        return FAILED, "another nonce, or none"
    return (PASSED, "") if request.imprint == t.imprint else (FAILED, "the request is about another digest")


def names_someone(p):
    return bool(p.get("certificate_sha256") or p.get("issuer") or p.get("name"))


def fits(p, c):
    return (p.get("certificate_sha256", "").lower() in ("", sha256(c.der)) and p.get("issuer", "") in ("", c.common_name(c.issuer))
            and p.get("name", "") in ("", c.common_name(c.subject)))


def checkpoint(e, origin):
    """C2SP signed-note: the key in verifier signed, and is named rightly."""
    name, key_hash, encoded = e["verifier"].split("+", 2)
    key = b64(encoded)
    want(len(key) == 33 and key[0] == 1, "no Ed25519 key")
    want(hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == key_hash, "the key is named by another hash")
    want(origin == e["origin"] == name, "another log")
    text, _, signatures = e["checkpoint"].partition("\n\n")
    want(signatures.endswith("\n"), "the last line is cut off")
    good = False
    for line in signatures[:-1].split("\n"):
        m = re.fullmatch("\u2014 (\\S+) (\\S+)", line)
        want(m, "a signature line")
        sig = b64(m[2])
        want(len(sig) > 4, "a signature line")
        if m[1] == name and sig[:4].hex() == key_hash:
            spki = bytes.fromhex("302a300506032b6570032100") + key[1:]
            pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(spki) + b"-----END PUBLIC KEY-----\n"
            good, _ = openssl("pkeyutl", "-verify", "-pubin", "-inkey", "{key}", "-rawin", "-in", "{note}", "-sigfile", "{sig}",
                              files={"key": pem, "note": (text + "\n").encode(), "sig": sig[4:]})
            want(good, "the signature does not hold")
    want(good, "the key did not sign")


# The form of a seal: members in their order; a ? marks those that are left
# out when empty, a list those that may be null.
DIGESTS = {"bytes": int, "sha256": str, "sm3": str}
SEAL = {
    "format": str, "id": str, "package": DIGESTS,
    "signature": {"algorithm": str, "key_id": str, "public_key": bytes, "value": bytes},
    "stamps": [{"tsa": str, "at": "time", "imprint": str, "request?": bytes, "response?": bytes, "error?": str}],
    "log": {"origin": str, "verifier": str, "index": int, "leaf": bytes, "proof": [bytes], "checkpoint": str, "error?": str},
    "envelope": bytes,
}


def shape(v, form, where):
    if form is bytes:
        want(v is None or isinstance(v, str), where)
        b64(v)
    elif form == "time":
        want(isinstance(v, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?(Z|[+-]\d\d:\d\d)", v), where)
    elif isinstance(form, list):
        want(v is None or isinstance(v, list), where)
        for x in v or []:
            shape(x, form[0], where)
    elif isinstance(form, dict):
        want(isinstance(v, dict), where)
        members = [m for m in form if not m.endswith("?") or m[:-1] in v]
        want(list(v) == [m.rstrip("?") for m in members], f"members of {where}")
        for m in members:
            want(not m.endswith("?") or v[m[:-1]], f"{m[:-1]} is empty")
            shape(v[m.rstrip("?")], form[m], m)
    else:
        want(type(v) is form, where)


# --- The command ----------------------------------------------------------

def load_trust(path):
    t = {"signers": [], "logs": [], "tsa": {}}
    if path:
        with open(path, "rb") as f:
            t |= parse_object(f.read())
        want(t.pop("format", "") == "guzheng-trust/1" and set(t) <= {"signers", "logs", "tsa", "domains"}, "trust file")
    roots = b""
    for r in t["tsa"].get("roots", []):
        if "-----BEGIN" in r:
            roots += r.encode() + b"\n"
        else:
            with open(os.path.join(os.path.dirname(path), r), "rb") as f:
                roots += f.read()
    return {"signers": [s.lower() for s in t["signers"]], "logs": [x.strip() for x in t["logs"]], "roots": roots, "pins": t["tsa"].get("pins", [])}


def newest_seal(package):
    stem, best = package.removesuffix(".wacz"), (-1, None)
    for path in glob.glob(glob.escape(stem) + ".seal*.json"):
        m = re.fullmatch(r"\.seal(?:-([1-9]\d{0,8}))?\.json", path[len(stem):])
        if m:
            best = max(best, (int(m[1] or 0), path))
    return best[1]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def judge(package, seal, trust):
    return Visit(read(package), read(seal) if seal else None, trust).run()


def vectors(directory):
    def path(name):
        return os.path.join(directory, name)
    trust, differ = load_trust(path("trust.json")), 0
    index = parse(read(path("verdicts.json")))
    for v in index:
        got = judge(path(v["package"]), path(v["seal"]) if "seal" in v else None, trust)
        for name in sorted(set(got["layers"]) | set(v["layers"])):
            ours, theirs = got["layers"].get(name), v["layers"].get(name)
            if ours != theirs:
                differ += 1
                why = [c.get("why", "") for c in got["checks"] if c["name"] == name]
                print(f"{v['name']}: {name} is {ours}, should be {theirs} {why}")
        if got["outcome"] != v["outcome"]:
            differ += 1
            print(f"{v['name']}: {got['outcome']}, should be {v['outcome']}")
    print(f"{len(index)} vectors, {differ} differences")
    return 1 if differ or not index else 0


def main(args):
    if len(args) == 2 and args[0] == "--vectors":
        return vectors(args[1])
    trust = None
    if len(args) > 1 and args[0] == "--trust":
        trust, args = args[1], args[2:]
    if len(args) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    out = judge(args[0], args[1] if len(args) == 2 else newest_seal(args[0]), load_trust(trust))
    print(json.dumps(out, indent=2, ensure_ascii=False))
    return 4 if out["outcome"] == FAILED else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
