package verify_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guzheng/capture/warc"
	"guzheng/preserve/tsa"
	"guzheng/preserve/verify"
	"guzheng/preserve/wacz/wacztest"
)

// foreignDir holds samples for tests elsewhere. No real packages of other
// programs are in this tree: these are made after the public specifications
// (WACZ 1.0.0 to 1.2.0, WACZ Signing 0.1.0) and the fields and ZIP forms that
// the programs write.
const foreignDir = "../testdata/foreign"

// A foreigner is a package of another program in the making.
type foreigner struct {
	files    []zfile        // in the order of the ZIP, without the two descriptions
	about    map[string]any // of datapackage.json, without resources
	old      bool           // digests in "stats", as before WACZ 1.1
	lengths  bool           // of all files; some programs leave some out
	digest   bool           // there is a datapackage-digest.json
	sign     func(hash string) map[string]any
	tamper   func(z *zipped)           // last
	mangle   func(list map[string]any) // of datapackage.json, before it is signed
	entryFor func(f zfile) zfile       // how the program writes entries
}

const foreignDate = "2026-05-04T03:02:00.500Z"

func (f foreigner) bytes(t testing.TB) []byte {
	t.Helper()
	var resources []map[string]any
	for _, x := range f.files {
		sum := hashOf(x.data)
		r := map[string]any{"name": filepath.Base(x.name), "path": x.name}
		switch {
		case f.old:
			r["stats"] = map[string]any{"hash": sum, "bytes": len(x.data)}
		default:
			r["hash"] = sum
			if f.lengths {
				r["bytes"] = len(x.data)
			}
		}
		resources = append(resources, r)
	}
	list := map[string]any{"resources": resources}
	for k, v := range f.about {
		list[k] = v
	}
	if f.mangle != nil {
		f.mangle(list)
	}
	z := zipped{files: append([]zfile(nil), f.files...)}
	b := marshal(t, list)
	z.files = append(z.files, zfile{name: "datapackage.json", data: b})
	if f.digest {
		d := map[string]any{"path": "datapackage.json", "hash": hashOf(b)}
		if f.sign != nil {
			d["signedData"] = f.sign(hashOf(b))
		}
		z.files = append(z.files, zfile{name: "datapackage-digest.json", data: marshal(t, d)})
	}
	for i, x := range z.files {
		x.time, x.date = 0x1841, 0x5ca4
		z.files[i] = f.entryFor(x)
	}
	if f.tamper != nil {
		f.tamper(&z)
	}
	return z.bytes()
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hexOf(sum[:])
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func traffic(t testing.TB) []zfile {
	t.Helper()
	data := wacztest.WARC(t)
	index, err := warc.Index(bytes.NewReader(data), "data.warc.gz")
	if err != nil {
		t.Fatal(err)
	}
	pages := `{"format":"json-pages-1.0","id":"pages","title":"All Pages","hasText":true}` + "\n" +
		`{"title":"Tea","url":"https://shop.example/","id":"6ba7b811","size":120,"ts":"2026-05-04T03:02:01.000Z"}`
	return []zfile{
		{name: "pages/pages.jsonl", data: []byte(pages)},
		{name: "archive/data.warc.gz", data: data},
		{name: "indexes/index.cdx", data: index},
	}
}

// archiveWebPage writes as the extension ArchiveWeb.page does: stored entries
// with data descriptors, a bare P-384 key, r and s side by side.
func archiveWebPage(t testing.TB) foreigner {
	t.Helper()
	key := wacztest.NewKey(t, 5)
	_, spki := key.Identity()
	return foreigner{files: traffic(t), lengths: true, digest: true,
		about: map[string]any{"profile": "data-package", "wacz_version": "1.1.1", "software": "Webrecorder ArchiveWeb.page 0.15.4, using warcio.js 2.4.4",
			"created": foreignDate, "title": "Tea", "modified": foreignDate},
		sign: func(hash string) map[string]any {
			return map[string]any{"hash": hash, "signature": base64.StdEncoding.EncodeToString(rawSignature(t, key, hash)),
				"publicKey": base64.StdEncoding.EncodeToString(spki), "created": foreignDate, "software": "Webrecorder ArchiveWeb.page 0.15.4"}
		},
		entryFor: func(f zfile) zfile { f.descriptor = true; return f }}
}

// domainRoot vouches for domains in these samples.
func domainRoot(t testing.TB) *x509.Certificate {
	return certificate(t, issue{name: "Test Domain Root", key: 41}, nil, 41)
}

// A domainSigner is a signing server (authsign) with a certificate for its
// domain. Its authority leaves certificates out of tokens, as FreeTSA does.
type domainSigner struct {
	domain string
	cert   *x509.Certificate
	stamps *authority
	flip   bool // the signature
	over   string
}

func newDomainSigner(t testing.TB, change func(*issue)) *domainSigner {
	t.Helper()
	i := issue{name: "sign.example", host: "sign.example", key: 42, from: wacztest.Time.AddDate(0, 0, -3), to: wacztest.Time.AddDate(0, 0, 87)}
	if change != nil {
		change(&i)
	}
	a := newAuthority(t, nil)
	a.noCerts = true
	return &domainSigner{domain: "sign.example", cert: certificate(t, i, domainRoot(t), 41), stamps: a}
}

func (d *domainSigner) sign(t testing.TB) func(string) map[string]any {
	return func(hash string) map[string]any {
		sum := sha256.Sum256([]byte(hash))
		sig, err := p256(t, 42).Sign(nil, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if d.flip {
			sig[len(sig)-1] ^= 1
		}
		text := base64.StdEncoding.EncodeToString(sig)
		stamp := d.stamps.Stamp(t.Context(), sha256.Sum256([]byte(text+d.over)))
		return map[string]any{"hash": hash, "created": foreignDate, "software": "authsigner 0.5.2", "version": "0.1.0", "signature": text,
			"domain": d.domain, "domainCert": string(pemOf(d.cert)) + string(pemOf(domainRoot(t))), "crossSignedCert": nil,
			"timeSignature": base64.StdEncoding.EncodeToString(stamp.Response), "timestampCert": string(pemOf(d.stamps.leaf)) + string(pemOf(newRoot(t)))}
	}
}

// browsertrix writes as browsertrix-crawler does with a signing server: what
// can be compressed is, WARC files are stored.
func browsertrix(t testing.TB, d *domainSigner) foreigner {
	t.Helper()
	return foreigner{files: traffic(t), lengths: true, digest: true, sign: d.sign(t),
		about: map[string]any{"profile": "data-package", "wacz_version": "1.1.1", "software": "Browsertrix-Crawler 1.6.0 (with warcio.js 2.4.4)", "created": foreignDate},
		entryFor: func(f zfile) zfile {
			if !strings.HasSuffix(f.name, ".gz") {
				f.method = 8
			}
			f.extra = []byte("UT\x05\x00\x01\x00\x00\x00\x00")
			return f
		}}
}

// scoop writes as Scoop does without a signing server: no profile, lengths
// left out of some resources, raw exchanges beside the traffic.
func scoop(t testing.TB) foreigner {
	t.Helper()
	files := append(traffic(t), zfile{name: "raw/response_2026-05-04T03-02-01.000Z_1", data: []byte("HTTP/1.1 200 OK\r\n\r\n")})
	return foreigner{files: files, digest: true,
		about: map[string]any{"created": foreignDate, "wacz_version": "1.1.1", "software": "@harvard-lil/js-wacz 0.1.5", "title": "Tea",
			"mainPageUrl": "https://shop.example/", "mainPageDate": "2026-05-04T03:02:01.000Z", "extras": map[string]any{"state": 5}},
		entryFor: func(f zfile) zfile { f.descriptor = true; return f }}
}

// foreignTrust believes in everyone who signed the samples.
func foreignTrust(t testing.TB) verify.Trust {
	t.Helper()
	id, _ := wacztest.NewKey(t, 5).Identity()
	return verify.Trust{Signers: []string{id}, Domains: []*x509.Certificate{domainRoot(t)},
		TSA: tsa.Trust{Roots: []*x509.Certificate{newRoot(t)}, Pins: []tsa.Pin{{Name: "Test TSA"}}}}
}

// foreignVerdict is one line per check: name, outcome and code.
func foreignVerdict(t *testing.T, pkg []byte, trust verify.Trust) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "other.wacz")
	if err := os.WriteFile(name, pkg, 0o600); err != nil {
		t.Fatal(err)
	}
	v := verdict(t, name, verify.Options{Trust: trust})
	if v.Outcome() == verify.Passed {
		t.Error("a package without a seal of ours passed")
	}
	var b strings.Builder
	for _, c := range v.Checks {
		b.WriteString(strings.TrimSpace(strings.TrimPrefix(c.Name, "foreign.")+" "+string(c.Outcome)+" "+c.Code) + "\n")
	}
	return b.String()
}

const intact = "zip passed\ndatapackage passed\nfiles passed\ndigest passed\n"

func TestForeign(t *testing.T) {
	const end = "seal.present cannot tell seal.foreign\n"
	anyone := verify.Trust{}
	for _, c := range []struct {
		name  string
		f     foreigner
		trust verify.Trust
		want  string
	}{
		{"ArchiveWeb.page", archiveWebPage(t), anyone, intact + "signature passed\nsigner cannot tell signer.unpinned\ntime cannot tell foreign.no_time\n"},
		{"ArchiveWeb.page, known key", archiveWebPage(t), foreignTrust(t), intact + "signature passed\nsigner passed\ntime cannot tell foreign.no_time\n"},
		{"authsign", browsertrix(t, newDomainSigner(t, nil)), foreignTrust(t), intact + "signature passed\ntime passed\nauthority passed\nsigner passed\n"},
		{"authsign, nobody trusted", browsertrix(t, newDomainSigner(t, nil)), anyone,
			intact + "signature passed\ntime passed\nauthority cannot tell foreign.untrusted\nsigner cannot tell foreign.untrusted\n"},
		{"Scoop", scoop(t), foreignTrust(t), intact + "signature cannot tell foreign.unsigned\nsigner cannot tell foreign.unsigned\n"},
		{"WACZ 1.0", with(scoop(t), func(f *foreigner) { f.about["wacz_version"], f.old = "1.0.0", true }), anyone, intact + "signature cannot tell foreign.unsigned\nsigner cannot tell foreign.unsigned\n"},
		{"WACZ 1.2", with(archiveWebPage(t), func(f *foreigner) { f.about["wacz_version"], f.about["profile"] = "1.2.0", "wacz" }), foreignTrust(t),
			intact + "signature passed\nsigner passed\ntime cannot tell foreign.no_time\n"},
		{"WACZ 2", with(scoop(t), func(f *foreigner) { f.about["wacz_version"] = "2.0.0" }), anyone,
			"zip passed\ndatapackage cannot tell foreign.version\nfiles passed\ndigest passed\nsignature cannot tell foreign.unsigned\nsigner cannot tell foreign.unsigned\n"},
		{"no digest", with(scoop(t), func(f *foreigner) { f.digest = false }), anyone,
			"zip passed\ndatapackage passed\nfiles passed\ndigest cannot tell foreign.no_digest\nsignature cannot tell foreign.unsigned\nsigner cannot tell foreign.unsigned\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want+end, foreignVerdict(t, c.f.bytes(t), c.trust)); d != "" {
				t.Error(d)
			}
		})
	}
}

func with(f foreigner, change func(*foreigner)) foreigner {
	about := map[string]any{}
	for k, v := range f.about {
		about[k] = v
	}
	f.about = about
	change(&f)
	return f
}

// What was altered in a package of another program fails, and what its signer
// or authority did wrong, whoever is trusted.
func TestForeignForged(t *testing.T) {
	signer := func(change func(*domainSigner)) foreigner {
		d := newDomainSigner(t, nil)
		change(d)
		return browsertrix(t, d)
	}
	late := newDomainSigner(t, func(i *issue) { i.from, i.to = wacztest.Time.AddDate(0, 0, -90), wacztest.Time.AddDate(0, 0, -1) })
	tampered := func(path string, change func(*zfile)) func(*foreigner) {
		return func(f *foreigner) { f.tamper = func(z *zipped) { change(z.at(path)) } }
	}
	swap := func(from, to string) func(*zfile) {
		return func(x *zfile) { x.data = bytes.Replace(x.data, []byte(from), []byte(to), 1) }
	}
	dated := func(date string) foreigner {
		return with(browsertrix(t, newDomainSigner(t, nil)), func(f *foreigner) {
			inner := f.sign
			f.sign = func(hash string) map[string]any { m := inner(hash); m["created"] = date; return m }
		})
	}
	for name, c := range map[string]struct {
		f    foreigner
		want string
	}{
		"page altered": {with(archiveWebPage(t), tampered("pages/pages.jsonl", swap("Tea", "Tee"))), "files failed file.changed\n"},
		"list altered": {with(archiveWebPage(t), tampered("datapackage.json", swap("Tea", "Tee"))), "digest failed datapackage.hash\nsignature failed signature.other\n"},
		"CRC":          {with(scoop(t), tampered("pages/pages.jsonl", func(x *zfile) { x.descriptor, x.crc = false, 1 })), "zip failed zip.checksum\nfiles failed file.changed\n"},
		"file gone":    {with(scoop(t), func(f *foreigner) { f.tamper = func(z *zipped) { z.files = z.files[1:] } }), "datapackage failed datapackage.absent\n"},
		"listed twice": {with(scoop(t), func(f *foreigner) {
			f.files = append(f.files, f.files[0])
			f.tamper = func(z *zipped) { z.files = z.files[1:] }
		}), "datapackage failed datapackage.twice\n"},
		"length": {with(archiveWebPage(t), func(f *foreigner) {
			f.mangle = func(l map[string]any) { l["resources"].([]map[string]any)[0]["bytes"] = 3 }
		}), "files failed file.changed\n"},
		"signature flipped":   {signer(func(d *domainSigner) { d.flip = true }), "signature failed signature.invalid\n"},
		"another domain":      {signer(func(d *domainSigner) { d.domain = "other.example" }), "signer failed foreign.domain_other\n"},
		"certificate ran out": {browsertrix(t, late), "signer failed chain.expired\n"},
		"stamp over another":  {signer(func(d *domainSigner) { d.over = "x" }), "time failed imprint.other\n"},
		"stamp broken":        {signer(func(d *domainSigner) { d.stamps.breakSign = true }), "time failed signature.invalid\n"},
		"stamp refused":       {signer(func(d *domainSigner) { d.stamps.status = 2 }), "time failed token.unreadable\n"},
		"authority ran out": {signer(func(d *domainSigner) {
			d.stamps.leaf = certificate(t, issue{name: "Test TSA", key: 12, purposes: timeStamping, from: wacztest.Time.AddDate(-2, 0, 0), to: wacztest.Time.AddDate(-1, 0, 0)}, newRoot(t), 11)
		}), "authority failed chain.expired\n"},
		"dated long before":     {dated("2026-05-04T02:00:00Z"), "time failed foreign.time_apart\n"},
		"dated after the stamp": {dated("2026-05-04T04:00:00Z"), "time failed foreign.time_apart\n"},
		"bad base64": {with(archiveWebPage(t), func(f *foreigner) {
			f.sign = func(h string) map[string]any { return map[string]any{"hash": h, "publicKey": "?"} }
		}), "signature failed signature.unreadable\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var failed strings.Builder
			for line := range strings.Lines(foreignVerdict(t, c.f.bytes(t), foreignTrust(t))) {
				if strings.Contains(line, " failed ") {
					failed.WriteString(line)
				}
			}
			if d := cmp.Diff(c.want, failed.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// What is neither altered nor known cannot be told.
func TestForeignUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		f    foreigner
		want string
	}{
		"file not listed": {with(scoop(t), func(f *foreigner) {
			f.tamper = func(z *zipped) { z.files = append(z.files, zfile{name: "logs/crawl.log", data: []byte("x")}) }
		}), "datapackage cannot tell foreign.unlisted"},
		"other digest": {with(scoop(t), func(f *foreigner) {
			f.mangle = func(l map[string]any) { l["resources"].([]map[string]any)[0]["hash"] = "md5:00" }
		}), "files cannot tell foreign.hash"},
		"other signature": {with(scoop(t), func(f *foreigner) {
			f.sign = func(h string) map[string]any { return map[string]any{"hash": h, "signatures": "other"} }
		}), "signature cannot tell foreign.form"},
		"other root": {browsertrix(t, func() *domainSigner {
			d := newDomainSigner(t, nil)
			d.cert = certificate(t, issue{name: "sign.example", host: "sign.example", key: 42}, certificate(t, issue{name: "Other", key: 51}, nil, 51), 51)
			return d
		}()), "signer cannot tell foreign.untrusted"},
		"other authority": {browsertrix(t, func() *domainSigner {
			d := newDomainSigner(t, nil)
			d.stamps.leaf = certificate(t, issue{name: "Test TSA", key: 12, purposes: timeStamping}, certificate(t, issue{name: "Other", key: 51}, nil, 51), 51)
			return d
		}()), "authority cannot tell foreign.untrusted"},
	} {
		t.Run(name, func(t *testing.T) {
			got := foreignVerdict(t, c.f.bytes(t), foreignTrust(t))
			if strings.Contains(got, " failed ") || !strings.Contains(got, c.want) {
				t.Error(got)
			}
		})
	}
}

// The samples for tests elsewhere are those that are made here, and the trust
// file beside them names who signed them.
func TestForeignSamples(t *testing.T) {
	id, _ := wacztest.NewKey(t, 5).Identity()
	trust := marshal(t, map[string]any{"format": verify.TrustFormat, "signers": []string{id}, "domains": map[string]any{"roots": []string{"domains.pem"}},
		"tsa": map[string]any{"roots": []string{"root.pem"}, "pins": []map[string]string{{"name": "Test TSA"}}}})
	for name, b := range map[string][]byte{
		"anonymous.wacz": archiveWebPage(t).bytes(t), "domain.wacz": browsertrix(t, newDomainSigner(t, nil)).bytes(t), "unsigned.wacz": scoop(t).bytes(t),
		"altered.wacz": with(archiveWebPage(t), func(f *foreigner) { f.tamper = func(z *zipped) { z.at("pages/pages.jsonl").data[40] ^= 1 } }).bytes(t),
		"trust.json":   append(trust, '\n'), "root.pem": pemOf(newRoot(t)), "domains.pem": pemOf(domainRoot(t)),
	} {
		name = filepath.Join(foreignDir, name)
		if *update {
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.HasSuffix(name, ".wacz") && !bytes.Equal(read(t, name), b) {
			t.Errorf("%s is not the one that is made here", name)
		}
	}
	loaded, err := verify.LoadTrust(filepath.Join(foreignDir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	v := verdict(t, filepath.Join(foreignDir, "domain.wacz"), verify.Options{Trust: loaded})
	if got := told(v); got != "seal.present cannot tell: seal.foreign\n" {
		t.Error(got)
	}
}
