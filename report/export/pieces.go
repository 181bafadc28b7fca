package export

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
	"guzheng/preserve/wacz"
)

// maxJSON bounds the JSON files that are read out of a package, in bytes.
const maxJSON = 64 << 20

// takeSeal adds key, signatures, stamps and log entry of a seal.
func (p *parcel) takeSeal(dir string, s seal.Seal, t *told) error {
	t.Fingerprint = fmt.Sprintf("%x", sha256.Sum256(s.Signature.PublicKey))
	for _, f := range []struct {
		name string
		b    []byte
	}{
		{"public-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.Signature.PublicKey})},
		{"package.sig", s.Signature.Value},
		{"envelope.sig", s.Envelope},
	} {
		if err := p.add(dir+f.name, f.b); err != nil {
			return err
		}
	}
	if err := p.stamps(dir+"stamps/package", s.Stamps, t); err != nil {
		return err
	}
	return p.logEntry(dir+"log/", s.Log, t)
}

// takeRaw adds the stamps from before packaging and the root they are over.
func (p *parcel) takeRaw(dir string, z *wacz.Package, t *told) error {
	if !z.Has(wacz.RawPath) || !z.Has(wacz.RawStampsPath) {
		return nil
	}
	var raw wacz.Raw
	if err := readJSON(z, wacz.RawPath, &raw); err != nil {
		return err
	}
	var stamps []tsa.Stamp
	if err := readJSON(z, wacz.RawStampsPath, &stamps); err != nil {
		return err
	}
	if b, err := hex.DecodeString(raw.Root); err != nil || len(b) != sha256.Size {
		return fmt.Errorf("reading %s: root is %q", wacz.RawPath, raw.Root)
	}
	if err := p.add(dir+"stamps/raw-root.txt", []byte(raw.Root+"\n")); err != nil {
		return err
	}
	return p.stamps(dir+"stamps/raw", stamps, t)
}

func readJSON(z *wacz.Package, name string, into any) error {
	b, err := z.ReadFile(name, maxJSON)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// stamps adds query, reply and certificates of each stamp, and remembers the
// practice authority's root: nobody else has it.
func (p *parcel) stamps(stem string, stamps []tsa.Stamp, t *told) error {
	for i, s := range stamps {
		if s.Pending() {
			continue
		}
		r := tsa.Check(s, [32]byte{}, tsa.Trust{})
		name := fmt.Sprintf("%s-%d", stem, i+1)
		for _, f := range []struct {
			end string
			b   []byte
		}{{".tsq", s.Request}, {".tsr", s.Response}, {".pem", certificates(r.Certificates)}} {
			if err := p.add(name+f.end, f.b); err != nil {
				return err
			}
		}
		for _, c := range r.Certificates {
			if r.Practice && c.IsCA && !slices.ContainsFunc(p.roots, c.Equal) {
				p.roots = append(p.roots, c)
			}
		}
		p.own = p.own || r.Practice
		t.Stamps = append(t.Stamps, toldStamp{Name: s.TSA, Time: r.Time, Practice: r.Practice, Raw: strings.HasSuffix(stem, "raw")})
	}
	return nil
}

// logEntry adds the event and what proves it, and, where the log's key is of
// Ed25519, the checkpoint in two files that openssl reads.
func (p *parcel) logEntry(dir string, e tlog.Entry, t *told) error {
	if e.Pending() {
		return nil
	}
	t.LogOrigin, t.LogIndex = e.Origin, e.Index+1
	var proof strings.Builder
	fmt.Fprintf(&proof, "index %d\n", e.Index)
	for _, h := range e.Proof {
		fmt.Fprintf(&proof, "%x\n", h)
	}
	text, signatures, ok := strings.Cut(e.Checkpoint, "\n\n")
	spki, sig := openNote(e, signatures)
	if !ok || spki == nil {
		text = ""
	} else {
		text += "\n"
		t.LogKey = true
	}
	for _, f := range []struct {
		name string
		b    []byte
	}{
		{"leaf.json", e.Leaf}, {"proof.txt", []byte(proof.String())}, {"checkpoint.txt", []byte(e.Checkpoint)},
		{"verifier.txt", []byte(e.Verifier + "\n")}, {"checkpoint.note", []byte(text)}, {"checkpoint.sig", sig}, {"key.pem", spki},
	} {
		if err := p.add(dir+f.name, f.b); err != nil {
			return err
		}
	}
	return nil
}

// openNote takes the log's key out of its verifier form and its signature out
// of the checkpoint (C2SP signed-note). It returns nothing when either has
// another form; the checkpoint itself is exported in any case.
func openNote(e tlog.Entry, signatures string) (spki, sig []byte) {
	parts := strings.SplitN(e.Verifier, "+", 3)
	if len(parts) != 3 {
		return nil, nil
	}
	const ed = 1 // algorithm byte of Ed25519
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != ed {
		return nil, nil
	}
	for line := range strings.Lines(signatures) {
		rest, ok := strings.CutPrefix(line, "\u2014 "+parts[0]+" ")
		b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(rest, "\n"))
		if !ok || err != nil || len(b) != 4+ed25519.SignatureSize || hex.EncodeToString(b[:4]) != parts[1] {
			continue
		}
		der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(key[1:]))
		if err != nil {
			return nil, nil
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), b[4:]
	}
	return nil, nil
}
