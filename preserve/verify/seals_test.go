package verify_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"guzheng/preserve/seal"
	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz/wacztest"
)

// rawSignature signs a text as datapackage-digest.json has it: r and s, 48
// bytes each.
func rawSignature(t testing.TB, key wacztest.Key, text string) []byte {
	t.Helper()
	der, err := key.Sign(sha256.Sum256([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &s); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 96)
	s.R.FillBytes(out[:48])
	s.S.FillBytes(out[48:])
	return out
}

func spkiOf(t testing.TB, k fixedKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stampSamples are sound packages whose stamp is not as it should be, in a
// seal of the key's holder. The raw stamps are good.
func stampSamples(t *testing.T, data []byte) map[string]sample {
	out := map[string]sample{}
	add := func(name, about, want string, cert func(*issue), change func(*authority)) {
		a := newAuthority(t, cert)
		if change != nil {
			change(a)
		}
		out[name] = sample{about: about, want: want, warc: data, stamps: []tsa.Authority{a}}
	}
	otherRoot := certificate(t, issue{name: "Test Root", key: 21}, nil, 21)
	middle := certificate(t, issue{name: "Test Intermediate", key: 22}, newRoot(t), 11)

	add("good-expired-since", "the authority's certificate was valid at the token's time and is not any more", "", func(i *issue) {
		i.from, i.to = wacztest.Time.AddDate(0, -1, 0), wacztest.Time.AddDate(0, 0, 1)
	}, nil)
	add("good-intermediate", "a chain with an intermediate certificate", "", nil, func(a *authority) {
		a.leaf = certificate(t, issue{name: "Test TSA", key: 12, purposes: timeStamping}, middle, 22)
		a.extra = []*x509.Certificate{middle}
	})
	add("stamp-nonce", "a token with another nonce than the request", "nonce.other", nil, func(a *authority) { a.nonce = big.NewInt(1) })
	add("stamp-no-nonce", "a token without the nonce of the request", "nonce.missing", nil, func(a *authority) { a.nonce = nil })
	add("stamp-nonce-unsent", "neither request nor token have a nonce", "-nonce.not_sent", nil, func(a *authority) { a.nonce, a.sent = nil, nil })
	add("stamp-imprint", "a token over another digest than was asked for", "imprint.other request.other", nil, func(a *authority) { a.imprint = make([]byte, 32) })
	add("stamp-policy", "a token under another policy than was asked for", "identity.other policy.other", nil, func(a *authority) { a.policy = asn1.ObjectIdentifier{1, 2, 4} })
	add("stamp-policy-unasked", "a token under a policy that is not trusted, and none was asked for", "identity.other policy.not_pinned", nil, func(a *authority) { a.policy, a.asked = asn1.ObjectIdentifier{1, 2, 4}, nil })
	add("stamp-identity", "an authority of the trusted root that the trust does not name", "identity.other", func(i *issue) { i.name = "Other TSA" }, nil)
	add("stamp-expired", "the authority's certificate had expired at the token's time", "chain.expired", func(i *issue) {
		i.from, i.to = wacztest.Time.AddDate(-1, 0, 0), wacztest.Time.AddDate(0, 0, -1)
	}, nil)
	add("stamp-early", "the authority's certificate was not yet valid at the token's time", "chain.expired", func(i *issue) {
		i.from, i.to = wacztest.Time.AddDate(0, 0, 1), wacztest.Time.AddDate(40, 0, 0)
	}, nil)
	add("stamp-root", "an authority of a root of the same name that is not trusted", "chain.invalid", nil, func(a *authority) {
		a.leaf = certificate(t, issue{name: "Test TSA", key: 12, purposes: timeStamping}, otherRoot, 21)
		a.extra = []*x509.Certificate{otherRoot}
	})
	add("stamp-gap", "a chain whose intermediate certificate is missing", "chain.invalid", nil, func(a *authority) {
		a.leaf = certificate(t, issue{name: "Test TSA", key: 12, purposes: timeStamping}, middle, 22)
	})
	add("stamp-lax", "a certificate whose purpose is not marked critical", "chain.invalid signature.purpose", func(i *issue) { i.lax = true }, nil)
	add("stamp-purposes", "a certificate for time stamping and for code", "chain.invalid signature.purpose", func(i *issue) { i.purposes = append(i.purposes, oidCodeSigning) }, nil)
	add("stamp-ess", "a token whose signed attributes name another certificate", "signature.invalid", nil, func(a *authority) { a.essOf = newRoot(t) })
	add("stamp-flipped", "one bit of the token's signature", "chain.invalid signature.invalid", nil, func(a *authority) { a.breakSign = true })
	add("stamp-bare", "a token without certificates", "chain.no_signer signature.invalid", nil, func(a *authority) { a.noCerts = true })
	add("stamp-refused", "a response that says that the authority refused", "token.unreadable", nil, func(a *authority) { a.status = 2 })
	add("stamp-html", "a web page instead of a token", "token.unreadable", nil, func(a *authority) { a.response = []byte("<html>Service unavailable</html>") })
	add("stamp-behind", "a byte behind the token", "token.unreadable", nil, func(a *authority) { a.behind = []byte{0} })
	good := newAuthority(t, nil)
	out["good-half"] = sample{about: "two authorities, one of which did not answer", want: "-stamp.pending", warc: data, stamps: []tsa.Authority{good, silent{}}}
	return out
}

// sealSamples are sound packages beside seals that are not. Where the key's
// holder changed them, the envelope is right.
func sealSamples(t *testing.T, data []byte) map[string]sample {
	out := map[string]sample{}
	reseal := func(name, about, want string, change func(*seal.Seal)) {
		out[name] = sample{about: about, want: want, warc: data, reseal: change}
	}
	text := func(name, about, want string, change func([]byte) []byte) {
		out[name] = sample{about: about, want: want, warc: data, text: change}
	}
	reseal("seal-signature", "one bit of the seal's signature, sealed again by the key's holder", "signature.invalid", func(s *seal.Seal) { s.Signature.Value[len(s.Signature.Value)-1] ^= 1 })
	reseal("seal-id", "the seal of another order's number, sealed so by the key's holder", "seal.other_id", func(s *seal.Seal) { s.ID = "GZ-20260504-TEST0002" })
	reseal("seal-stampless", "a seal without any stamp, by the key's holder", "-stamp.missing", func(s *seal.Seal) { s.Stamps = nil })
	reseal("stamp-record", "a note of what was sent that is not what was stamped, by the key's holder", "imprint.record", func(s *seal.Seal) { s.Stamps[0].Imprint = strings.Repeat("0", 64) })
	reseal("stamp-requestless", "a stamp without its request, by the key's holder", "-request.missing", func(s *seal.Seal) { s.Stamps[0].Request = nil })
	reseal("log-proof", "one bit of an inclusion proof, sealed again", "inclusion.invalid", func(s *seal.Seal) { s.Log.Proof[0][0] ^= 1 })
	reseal("log-reordered", "the hashes of an inclusion proof in another order, sealed again", "inclusion.invalid", func(s *seal.Seal) { s.Log.Proof[0], s.Log.Proof[1] = s.Log.Proof[1], s.Log.Proof[0] })
	reseal("log-proofless", "no inclusion proof, sealed again", "inclusion.invalid", func(s *seal.Seal) { s.Log.Proof = nil })
	reseal("log-beyond", "a leaf behind the end of the log, sealed again", "inclusion.invalid", func(s *seal.Seal) { s.Log.Index = 4 })
	reseal("log-leaf", "one bit of the event, sealed again", "inclusion.invalid log.other_package", func(s *seal.Seal) {
		s.Log.Leaf = bytes.Replace(s.Log.Leaf, []byte(`"kept"`), []byte(`"jept"`), 1)
	})
	reseal("log-size", "a checkpoint that claims another size, sealed again", "checkpoint.invalid inclusion.invalid", func(s *seal.Seal) {
		s.Log.Checkpoint = strings.Replace(s.Log.Checkpoint, "\n4\n", "\n5\n", 1)
	})
	reseal("log-root", "a checkpoint with another root, sealed again", "checkpoint.invalid inclusion.invalid", func(s *seal.Seal) {
		lines := strings.SplitN(s.Log.Checkpoint, "\n", 4)
		lines[2] = base64.StdEncoding.EncodeToString(make([]byte, 32))
		s.Log.Checkpoint = strings.Join(lines, "\n")
	})
	reseal("log-checkpoint", "a checkpoint without its form, sealed again", "checkpoint.unreadable", func(s *seal.Seal) { s.Log.Checkpoint = "log.example/test\n" })
	reseal("log-forged", "a checkpoint that another key of the same name signed, sealed again", "checkpoint.invalid", func(s *seal.Seal) { s.Log.Checkpoint = countersigned(t, s.Log.Checkpoint, false) })
	reseal("log-unknown", "a log with a key that is not trusted, consistent in itself, sealed again", "key.other", func(s *seal.Seal) {
		s.Log.Checkpoint = countersigned(t, s.Log.Checkpoint, false)
		_, s.Log.Verifier = otherLog(t)
	})
	reseal("good-cosigned", "a checkpoint that a witness has signed too", "", func(s *seal.Seal) { s.Log.Checkpoint = countersigned(t, s.Log.Checkpoint, true) })
	text("seal-crlf", "a seal with the line ends of Windows", "seal.unreadable", crlf)
	text("seal-bom", "a seal with a byte order mark", "seal.unreadable", func(b []byte) []byte { return append([]byte("\ufeff"), b...) })
	text("seal-version", "a seal of a version that nobody knows", "seal.unreadable", func(b []byte) []byte { return bytes.Replace(b, []byte(seal.Format), []byte("guzheng-seal/2"), 1) })
	text("seal-member", "a seal with a member that nobody knows", "seal.unreadable", func(b []byte) []byte { return bytes.Replace(b, []byte("{\n"), []byte("{\n  \"more\": 1,\n"), 1) })
	text("seal-behind", "a seal with a line behind its end", "seal.unreadable", func(b []byte) []byte { return append(b, '\n') })
	text("seal-compact", "a seal without its line breaks", "seal.unreadable", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), nil) })
	text("seal-empty", "an empty seal", "seal.unreadable", func([]byte) []byte { return []byte{} })
	out["seal-flipped"] = sample{about: "one bit of the envelope", want: "envelope.invalid", warc: data, forge: func(s *seal.Seal) { s.Envelope[len(s.Envelope)-1] ^= 1 }}
	out["seal-upper"] = sample{about: "an envelope with the upper of the two values of s, which anyone can make", want: "envelope.invalid", warc: data, forge: func(s *seal.Seal) { s.Envelope = upper(t, s.Envelope) }}
	out["seal-key-name"] = sample{about: "a seal that names its key by another fingerprint", want: "envelope.invalid signature.invalid", warc: data, forge: func(s *seal.Seal) { s.Signature.KeyID = strings.Repeat("0", 64) }}
	return out
}

// upper is the other signature that holds: n-s for s.
func upper(t *testing.T, der []byte) []byte {
	t.Helper()
	var s struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &s); err != nil {
		t.Fatal(err)
	}
	n, _ := new(big.Int).SetString("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)
	s.S.Sub(n, s.S)
	out, err := asn1.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// otherLog is a key that has the name of the log in the vectors.
func otherLog(t *testing.T) (note.Signer, string) {
	t.Helper()
	secret, verifier, err := note.GenerateKey(strings.NewReader(strings.Repeat("x", 64)), "log.example/test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

// countersigned signs the text of a checkpoint with another key; keep says
// whether the signatures that are there stay.
func countersigned(t *testing.T, checkpoint string, keep bool) string {
	t.Helper()
	body, signatures, ok := strings.Cut(checkpoint, "\n\n")
	if !ok {
		t.Fatalf("checkpoint %q", checkpoint)
	}
	signer, _ := otherLog(t)
	msg, err := note.Sign(&note.Note{Text: body + "\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if keep {
		_, own, _ := strings.Cut(string(msg), "\n\n")
		return fmt.Sprintf("%s\n\n%s%s", body, own, signatures)
	}
	return string(msg)
}
