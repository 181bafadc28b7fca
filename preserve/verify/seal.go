package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"guzheng/preserve/seal"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tsa"
)

// beside checks the seal against the package as found.
func (v *visit) beside(b []byte) {
	if b == nil {
		v.unknown("seal.present", "seal.missing", "no seal beside the package")
		return
	}
	s, err := seal.Decode(b)
	if err != nil {
		v.fail("seal.present", "seal.unreadable", "%v", err)
		return
	}
	v.pass("seal.present", "%s", s.ID)
	sum, _ := hex.DecodeString(v.digest.SHA256)
	digest := [32]byte(sum)
	v.checkSealDigest(s)
	v.checkSealSignature(s, digest)
	v.checkEnvelope(s)
	v.checkSigner(s)
	v.checkSM2(s)
	over, _ := tsa.DigestsOf(v.digest)
	v.checkStamps("stamp", s.Stamps, over)
	v.checkLog(s)
}

// checkSealDigest compares the package as found with the digest that was
// sealed.
func (v *visit) checkSealDigest(s seal.Seal) {
	const name = "seal.digest"
	switch {
	case s.Package != v.digest:
		v.fail(name, "seal.other_digest", "package is %d bytes, sha256 %s, sm3 %s; sealed was %d bytes, sha256 %s, sm3 %s",
			v.digest.Bytes, v.digest.SHA256, v.digest.SM3, s.Package.Bytes, s.Package.SHA256, s.Package.SM3)
	case v.about.ID != "" && s.ID != v.about.ID:
		v.fail(name, "seal.other_id", "seal of %s beside package %s", s.ID, v.about.ID)
	default:
		v.pass(name, "sha256 %s", v.digest.SHA256)
	}
}

func (v *visit) checkSealSignature(s seal.Seal, digest [32]byte) {
	const name = "seal.signature"
	if err := seal.CheckSignature(s, digest); err != nil {
		v.fail(name, "signature.invalid", "%v", err)
		return
	}
	v.pass(name, "key %s", s.Signature.KeyID)
}

// checkEnvelope sees that no byte of the seal changed since it was made. The
// other checks are about what they need; this one has no exemptions.
func (v *visit) checkEnvelope(s seal.Seal) {
	const name = "seal.envelope"
	switch err := seal.CheckEnvelope(s); {
	case len(s.Envelope) == 0:
		v.fail(name, "envelope.missing", "%v", err)
	case err != nil:
		v.fail(name, "envelope.invalid", "%v", err)
	default:
		v.pass(name, "key %s", s.Signature.KeyID)
	}
}

// checkSigner sees that one key signed package and seal, and that the reader
// knows it. The fingerprint is computed, not believed.
func (v *visit) checkSigner(s seal.Seal) {
	const name = "seal.signer"
	id := fmt.Sprintf("%x", sha256.Sum256(s.Signature.PublicKey))
	switch {
	case v.signer != nil && !bytes.Equal(v.signer, s.Signature.PublicKey):
		v.fail(name, "signer.other", "package was signed with key %x, seal with %s", sha256.Sum256(v.signer), id)
	case len(v.trust.Signers) == 0, v.trust.Lenient && !slices.Contains(v.trust.Signers, id):
		v.unknown(name, "signer.unpinned", "key %s; whose it is must be known from elsewhere", id)
	case !slices.Contains(v.trust.Signers, id):
		v.fail(name, "signer.not_trusted", "key %s is none of the %d trusted ones", id, len(v.trust.Signers))
	case v.signer == nil:
		v.unknown(name, "signature.unreadable", "key %s is trusted; the package's own signature does not hold", id)
	default:
		v.pass(name, "key %s", id)
	}
}

// checkSM2 checks the second signature of a seal that has one. Its key is
// vouched for by the envelope; whether the reader knows it by itself is told
// apart, and not knowing it is no failure.
func (v *visit) checkSM2(s seal.Seal) {
	if s.SM2 == nil {
		return
	}
	const name, who = "seal.sm2", "seal.sm2-signer"
	if err := seal.CheckSM2(s, v.digest); err != nil {
		v.fail(name, "signature.invalid", "%v", err)
		v.unknown(who, "signature.invalid", "")
		return
	}
	v.pass(name, "key %s", s.SM2.KeyID)
	if !slices.Contains(v.trust.Signers, s.SM2.KeyID) {
		v.unknown(who, "signer.unpinned", "key %s; whose it is must be known from elsewhere", s.SM2.KeyID)
		return
	}
	v.pass(who, "key %s", s.SM2.KeyID)
}

var stampLayers = [...]string{tsa.LayerImprint, tsa.LayerNonce, tsa.LayerPolicy, tsa.LayerSignature, tsa.LayerChain, tsa.LayerIdentity}

// noStamps says for every layer that it cannot be told.
func (v *visit) noStamps(prefix, code, detail string) {
	for _, l := range stampLayers {
		v.unknown(prefix+"."+l, code, "%s", detail)
	}
}

// checkStamps checks every stamp over the digests as found. The practice
// authority is this machine itself and never passes for someone else.
func (v *visit) checkStamps(prefix string, stamps []tsa.Stamp, over tsa.Digests) {
	if len(stamps) == 0 {
		v.noStamps(prefix, "stamp.missing", "")
	}
	seen := map[string]int{}
	for _, s := range stamps {
		subject := s.TSA
		if seen[s.TSA]++; seen[s.TSA] > 1 {
			subject = fmt.Sprintf("%s #%d", s.TSA, seen[s.TSA])
		}
		r := v.checkStamp(s, over)
		for _, f := range r.Findings {
			code := f.Code
			state := outcome(string(f.State))
			if r.Practice && !s.Pending() && practiceCannotTell(f) {
				state, code = Unknown, "stamp.practice"
			}
			v.add(prefix+"."+f.Layer, subject, state, code, "%s", f.Detail)
		}
	}
}

// practiceCannotTell reports whether a finding on a practice stamp is about
// who the authority is: that never passes, and that it is not the pinned one
// does not mean that anything was altered.
func practiceCannotTell(f tsa.Finding) bool {
	switch f.Layer {
	case tsa.LayerChain:
		return f.State != tsa.Failed
	case tsa.LayerIdentity:
		return true
	}
	return f.Code == "policy.not_pinned"
}

// checkStamp leaves out roots and pins when the reader is lenient and the
// stamp is of an authority that they do not know.
func (v *visit) checkStamp(s tsa.Stamp, over tsa.Digests) tsa.Report {
	r := tsa.CheckDigests(s, over, v.trust.TSA)
	if !v.trust.Lenient || r.State() != tsa.Failed {
		return r
	}
	if open := tsa.CheckDigests(s, over, tsa.Trust{MaxSkew: v.trust.TSA.MaxSkew, Revocation: v.trust.TSA.Revocation}); open.State() != tsa.Failed {
		return open
	}
	return r
}

// checkLog checks the log entry, and that it is about this package.
func (v *visit) checkLog(s seal.Seal) {
	r := tlog.Check(s.Log, v.trust.Logs)
	for _, f := range r.Findings {
		code, state, detail := f.Code, outcome(string(f.State)), f.Detail
		switch {
		case code == "entry.pending":
			code = "log.pending"
		case code == "key.not_pinned":
			code = "log.unpinned"
		case code == "key.other" && v.trust.Lenient:
			code, state = "log.unpinned", Unknown
		}
		// A pending entry keeps the event that is to be logged.
		if f.Layer == tlog.LayerLeaf && state != Failed && (!s.Log.Pending() || len(s.Log.Leaf) > 0) {
			if err := v.checkLeaf(s); err != nil {
				state, code, detail = Failed, "log.other_package", err.Error()
			}
		}
		v.add("log."+f.Layer, s.Log.Origin, state, code, "%s", detail)
	}
	if len(v.trust.Witnesses.Witnesses) > 0 && !s.Log.Pending() {
		f := tlog.CheckWitnesses(s.Log.Checkpoint, v.trust.Witnesses)
		v.add("log."+f.Layer, s.Log.Origin, outcome(string(f.State)), f.Code, "%s", f.Detail)
	}
}

// checkLeaf wants the logged event to name this package and the key that
// signed it.
func (v *visit) checkLeaf(s seal.Seal) error {
	k, err := seal.ParseKept(s.Log.Leaf)
	switch {
	case err != nil:
		return err
	case k.Package != v.digest:
		return fmt.Errorf("event is about package %s, found %s", k.Package.SHA256, v.digest.SHA256)
	case k.Key != fmt.Sprintf("%x", sha256.Sum256(s.Signature.PublicKey)):
		return fmt.Errorf("event names key %s, seal was signed with another", k.Key)
	}
	return nil
}

// outcome takes over the state of a neighbouring package.
func outcome(state string) Outcome {
	switch o := Outcome(state); o {
	case Passed, Failed, Unknown:
		return o
	}
	return Unknown
}
