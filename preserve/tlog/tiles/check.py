#!/usr/bin/env python3
"""Checks an exported log without Guzheng: Python's standard library, and
openssl for the signature.

    python3 check.py [DIRECTORY [CHECKPOINT...]]

It hashes every event, computes the root (RFC 6962 section 2.1), compares it
with the one in the checkpoint, and verifies the signature (C2SP signed-note,
Ed25519) with the key in log.pub. Compare that key with one you have from
elsewhere. Further checkpoints, from sheets or seals, are older ones that the
log must still hold."""
import base64, hashlib, os, subprocess, sys, tempfile

here = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
leaf_hash = lambda b: hashlib.sha256(b"\x00" + b).digest()
node_hash = lambda l, r: hashlib.sha256(b"\x01" + l + r).digest()


def read(name):
    with open(name, "rb") as f:
        return f.read()


def bundle(number, width):
    path = "%03d" % (number % 1000)
    while number >= 1000:
        number //= 1000
        path = "x%03d/%s" % (number % 1000, path)
    name = os.path.join(here, "tile", "entries", path)
    return read(name + ".p/%d" % width if width < 256 else name)


def events(size):
    for number in range((size + 255) // 256):
        b, n = bundle(number, min(256, size - number * 256)), 0
        while b:
            length = int.from_bytes(b[:2], "big")
            yield b[2:2 + length]
            b, n = b[2 + length:], n + 1
        assert n == min(256, size - number * 256), "bundle %d has %d events" % (number, n)


def roots(sizes):
    """The root at each of the sizes, in one pass."""
    out, stack, count = {0: hashlib.sha256().digest()}, [], 0  # stack: (height, hash), full subtrees
    for event in events(max(sizes)):
        height, h = 0, leaf_hash(event)
        while stack and stack[-1][0] == height:
            h, height = node_hash(stack.pop()[1], h), height + 1
        stack.append((height, h))
        count += 1
        if count in sizes:
            root = stack[-1][1]
            for _, left in reversed(stack[:-1]):
                root = node_hash(left, root)
            out[count] = root
    return out


def parse(note, key):
    """Size and root of a checkpoint that the key signed."""
    text, signatures = note.split(b"\n\n", 1)
    name, hash_, rest = key.split("+", 2)
    public = base64.b64decode(rest)
    assert public[0] == 1 and hashlib.sha256(name.encode() + b"\n" + public).hexdigest()[:8] == hash_, "key is damaged"
    lines = text.decode().split("\n")
    assert lines[0] == name, "checkpoint is of " + lines[0]
    for line in signatures.decode().splitlines():
        _, who, value = line.split(" ")
        value = base64.b64decode(value)
        if who == name and value[:4].hex() == hash_:
            verify(text + b"\n", value[4:], public[1:])
            return int(lines[1]), base64.b64decode(lines[2])
    raise AssertionError("the log did not sign")


def verify(text, signature, public):
    with tempfile.TemporaryDirectory() as d:
        files = {n: os.path.join(d, n) for n in ("text", "signature", "key")}
        for n, b in (("text", text), ("signature", signature),
                     ("key", bytes.fromhex("302a300506032b6570032100") + public)):
            with open(files[n], "wb") as f:
                f.write(b)
        subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", files["key"], "-rawin",
                        "-in", files["text"], "-sigfile", files["signature"]], check=True, stdout=subprocess.DEVNULL)


key = read(os.path.join(here, "log.pub")).decode().strip()
notes = [parse(read(n), key) for n in [os.path.join(here, "checkpoint")] + sys.argv[2:]]
computed = roots({size for size, _ in notes})
for size, root in notes:
    assert computed.get(size) == root, "root over %d events is another" % size
print("%s: %d events, root %s" % (key, notes[0][0], base64.b64encode(notes[0][1]).decode()))
