package verify

import (
	"bytes"
	"testing"

	"guzheng/capture"
)

// Beside verifies one package against many seals; the package is read once.
func Beside(t *testing.T, pkg []byte, trust Trust) func(seal []byte) Verdict {
	t.Helper()
	v := &visit{ctx: t.Context(), trust: trust, digests: map[string]capture.Digest{}}
	v.inside(bytes.NewReader(pkg), int64(len(pkg)))
	var err error
	if v.digest, err = capture.DigestOf(bytes.NewReader(pkg)); err != nil {
		t.Fatal(err)
	}
	return func(seal []byte) Verdict {
		w := *v
		w.verdict.Checks = append([]Check(nil), v.verdict.Checks...)
		w.beside(seal)
		return w.verdict
	}
}

// Inside verifies a package without a seal, by our rules and, where it is
// another program's, by those for that.
func Inside(t *testing.T, pkg []byte, trust Trust) (ours, others Verdict) {
	t.Helper()
	v := &visit{ctx: t.Context(), trust: trust, digests: map[string]capture.Digest{}}
	v.inside(bytes.NewReader(pkg), int64(len(pkg)))
	w := &visit{ctx: t.Context(), trust: trust}
	if p := openForeign(bytes.NewReader(pkg), int64(len(pkg))); p != nil {
		w.foreign(p)
	}
	return v.verdict, w.verdict
}
