#!/bin/sh
# Checks a package and its seal without Guzheng, with stock tools alone:
#   sh check.sh PACKAGE.wacz SEAL.json TSA-ROOT.pem
# Exit code 0 means that every line held; the first that does not hold ends it.
# What it leaves out (Merkle tree, log) is in preserve/FORMAT.md, section 5.
set -eu
package=$1 seal=$2 root=$3
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

# 1. The package is a whole ZIP file, and every file in it has the SHA-256
#    value that its list names. No file is missing and none is unlisted.
unzip -tqq "$package"
unzip -qq "$package" -d "$work/files"
list=$work/files/datapackage.json
jq -r '.resources[] | .hash[7:] + "  " + .path' "$list" > "$work/sums"
(cd "$work/files" && sha256sum --quiet --check "$work/sums")
unzip -Z1 "$package" | grep -cv '^datapackage' | grep -qx "$(jq '.resources | length' "$list")"
sha256sum "$list" | grep -q "^$(jq -r '.hash[7:]' "$work/files/datapackage-digest.json") "

# 2. The seal is about this package: its SHA-256 value, and the signature over
#    it. The envelope, with the same key, is over the seal's own text. Compare
#    the last line printed with the fingerprint on the sheet.
digest=$(sha256sum < "$package" | awk '{print $1}')
jq -e --arg d "$digest" '.package.sha256 == $d' "$seal" > "$work/same"
jq -r .signature.public_key "$seal" | base64 -d | openssl pkey -pubin -inform DER -out "$work/key.pem"
jq -r .signature.value "$seal" | base64 -d > "$work/signature"
openssl dgst -sha256 -verify "$work/key.pem" -signature "$work/signature" "$package"
jq -r .envelope "$seal" | base64 -d > "$work/signature"
awk '/^  "envelope": /{exit} {print}' "$seal" > "$work/enclosed"
openssl dgst -sha256 -verify "$work/key.pem" -signature "$work/signature" "$work/enclosed"

# 3. The time stamps (RFC 3161): over the files as they were taken, and over
#    the package. Each is checked as of its own time.
stamped() { # stamped JSON FILTER VERIFY-OPTIONS...: one stamp and its time
  json=$1 filter=$2 && shift 2
  jq -r "$filter.request" "$json" | base64 -d > "$work/query"
  jq -r "$filter.response" "$json" | base64 -d > "$work/reply"
  time=$(openssl ts -reply -in "$work/reply" -text 2> "$work/log" | awk '/^Time stamp: /{sub(/\.[0-9]+/, "", $5); print $3, $4, $5, $6}')
  at=$(echo "$time" | jq -Rr 'strptime("%b %d %H:%M:%S %Y") | mktime')
  openssl ts -verify -queryfile "$work/query" -in "$work/reply" -CAfile "$root" -attime "$at" 2> "$work/log"
  openssl ts -verify "$@" -in "$work/reply" -CAfile "$root" -attime "$at" 2> "$work/log"
  echo "stamped $time GMT"
}
stamped "$work/files/proofs/raw-stamps.json" '.[0]' -digest "$(jq -r .root "$work/files/proofs/raw.json")"
stamped "$seal" '.stamps[0]' -data "$package"

# 4. The event in the log names this package.
jq -r .log.leaf "$seal" | base64 -d | jq -e --arg d "$digest" '.package.sha256 == $d' > "$work/same"
echo "SHA-256 of the package: $digest"
echo "fingerprint of the signer: $(jq -r .signature.public_key "$seal" | base64 -d | sha256sum | awk '{print $1}')"
