package verify_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"guzheng/preserve/verify"
	"guzheng/preserve/wacz"
)

// FuzzDatapackage puts any list and any signature into a sound package. It
// must be told that something is not as it was.
func FuzzDatapackage(f *testing.F) {
	good := read(f, filepath.Join(vectors, "good.wacz"))
	trust, err := verify.LoadTrust(filepath.Join(vectors, "trust.json"))
	if err != nil {
		f.Fatal(err)
	}
	z := unzipped(f, good)
	list, digest := z.at(wacz.DatapackagePath).data, z.at(wacz.DigestPath).data
	f.Add(list, digest)
	f.Add([]byte(`{"resources":[{"path":"x"},{"path":"x"}]}`), []byte(`{"signedData":null}`))
	f.Add([]byte(`null`), []byte(`{"signedData":{"publicKey":"","signature":""}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		z := unzipped(t, good)
		z.at(wacz.DatapackagePath).data, z.at(wacz.DigestPath).data = a, b
		v, _ := verify.Inside(t, z.bytes(), trust)
		if v.Outcome() == verify.Passed && (!bytes.Equal(a, list) || !bytes.Equal(b, digest)) {
			t.Errorf("another list passed:\n%s\n%s", a, b)
		}
	})
}

// FuzzForeign puts any list and any signature into another program's package.
// It is never said to pass, and a signer never is without a signature.
func FuzzForeign(f *testing.F) {
	for _, s := range []foreigner{archiveWebPage(f), browsertrix(f, newDomainSigner(f, nil)), scoop(f)} {
		var a, b []byte
		s.tamper = func(z *zipped) { a, b = z.at(wacz.DatapackagePath).data, z.at(wacz.DigestPath).data }
		_ = s.bytes(f)
		f.Add(a, b)
	}
	files, trust := traffic(f), foreignTrust(f)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		z := zipped{files: append(append([]zfile(nil), files...), zfile{name: wacz.DatapackagePath, data: a}, zfile{name: wacz.DigestPath, data: b})}
		_, v := verify.Inside(t, z.bytes(), trust)
		state := map[string]verify.Outcome{}
		for _, c := range v.Checks {
			state[c.Name] = c.Outcome
		}
		if v.Outcome() == verify.Passed || state["foreign.signer"] == verify.Passed && state["foreign.signature"] != verify.Passed {
			t.Errorf("%v\n%s\n%s", state, a, b)
		}
	})
}
