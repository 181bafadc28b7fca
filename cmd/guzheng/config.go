package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"

	"guzheng/capture"
	"guzheng/preserve/custody"
	"guzheng/preserve/tlog/witness"
)

// config is everything that can be set, in config.yaml under GUZHENG_HOME or
// in the file named by --config. Without a file the defaults below hold and
// nothing needs to be configured. Two settings can come from the environment
// too: GUZHENG_LANG and GUZHENG_PASSPHRASE_FILE.
type config struct {
	// Lang is the language of sheets and of the summary: zh-CN or en.
	Lang string `koanf:"lang"`

	// Organization is the name of the office; exports tell it.
	Organization string `koanf:"organization"`

	// PassphraseFile names a file whose first line protects the signing key.
	// It has to be set before the key is made.
	PassphraseFile string `koanf:"passphrase_file"`

	// Key says with what packages are signed: p384, or p384+sm2 for an SM2
	// signature beside the other in every seal.
	Key string `koanf:"key"`

	// RetentionDays is how long evidence is kept at least. Three years is
	// the longest period that the law sets for records of a shop without a
	// case (E-commerce Law art. 31).
	RetentionDays int `koanf:"retention_days"`

	// CaseRetentionDays is how long evidence of a case is kept at least: a
	// case file is kept for 30 years or for good, whatever the shop's duty.
	CaseRetentionDays int `koanf:"case_retention_days"`

	// FindingRetentionDays is how long evidence of a finding about food or
	// health is kept at least, when a person puts it into that class: it can
	// be punished for five years (Administrative Penalty Law art. 36).
	FindingRetentionDays int `koanf:"finding_retention_days"`

	Browser browserConfig `koanf:"browser"`
	Clock   clockConfig   `koanf:"clock"`

	// TSA lists the time-stamping authorities. Without any, the built-in
	// practice authority stamps with this machine's own clock, and every
	// place that shows its stamps says so.
	TSA []tsaConfig `koanf:"tsa"`

	// Store says where evidence is kept; a directory under GUZHENG_HOME
	// unless it says otherwise.
	Store storeConfig `koanf:"store"`

	Log logConfig `koanf:"log"`

	// Limits bound a capture; see capture.Limits for each.
	Limits limitsConfig `koanf:"limits"`
}

type browserConfig struct {
	// Path is the Chromium binary; empty finds Debian's.
	Path string `koanf:"path"`
	// Width and Height are the window in CSS pixels, Scale the device
	// pixels per CSS pixel.
	Width  int     `koanf:"width"`
	Height int     `koanf:"height"`
	Scale  float64 `koanf:"scale"`
}

type clockConfig struct {
	// NTP lists the servers that the clock is compared with.
	NTP []string `koanf:"ntp"`
	// StampSeconds is how far a time stamp may be from this machine's clock
	// before verification says so; 0 does not look at it.
	StampSeconds int `koanf:"stamp_seconds"`
}

type tsaConfig struct {
	// URL of the authority (RFC 3161 over HTTP).
	URL string `koanf:"url"`
	// Hash of the imprint: sha256, or sm3 for an authority of the national
	// algorithms.
	Hash string `koanf:"hash"`
	// Policy is the object identifier asked for; empty asks for none.
	Policy string `koanf:"policy"`
	// Roots names a PEM file with the roots its chain must end in, relative
	// to the directory of the configuration file.
	Roots string `koanf:"roots"`
	// Certificate pins the signing certificate by its SHA-256, hex, with or
	// without colons; or Issuer and Name pin it by the common names of
	// issuer and subject. A stamp of anyone else is refused.
	Certificate string `koanf:"certificate"`
	Issuer      string `koanf:"issuer"`
	Name        string `koanf:"name"`
	// NoRevocation leaves out asking whether its certificates were revoked;
	// without Roots nobody is asked either.
	NoRevocation bool `koanf:"no_revocation"`
	// AllowPrivate permits private addresses for that: an authority of the
	// own network.
	AllowPrivate bool `koanf:"allow_private"`
	// TimeoutSeconds bounds one request.
	TimeoutSeconds int `koanf:"timeout_seconds"`
}

type logConfig struct {
	// StampHours is the time between time stamps over the log's newest
	// checkpoint, when something was logged.
	StampHours int `koanf:"stamp_hours"`

	// Witnesses cosign the log's checkpoints (C2SP tlog-witness).
	Witnesses []witnessConfig `koanf:"witnesses"`
	// Quorum is how many of them have to; 0 is all.
	Quorum int `koanf:"quorum"`
	// Require makes a seal pending when fewer did. Without it a seal has
	// what came.
	Require bool `koanf:"require"`

	// URL is the node that has the log, where this machine is a worker; see
	// guzheng log serve. Empty keeps a log here.
	URL string `koanf:"url"`
	// TokenFile names the file whose first line the node asks for.
	TokenFile string `koanf:"token_file"`
	// Key is the node's log key; empty trusts the one it names at first use.
	Key string `koanf:"key"`
}

type witnessConfig struct {
	// Key is the witness's verifier key, NAME+HASH+KEY (C2SP
	// tlog-cosignature, type 4).
	Key string `koanf:"key"`
	// URL is the prefix of its add-checkpoint address.
	URL string `koanf:"url"`
}

// limitsConfig names in seconds and megabytes what capture.Limits has in
// milliseconds and bytes. Zero keeps the default.
type limitsConfig struct {
	NavigateSeconds int `koanf:"navigate_seconds"`
	ScrollSeconds   int `koanf:"scroll_seconds"`
	ArtefactSeconds int `koanf:"artefact_seconds"`
	TotalSeconds    int `koanf:"total_seconds"`
	BodyMegabytes   int `koanf:"body_megabytes"`
	TotalMegabytes  int `koanf:"total_megabytes"`
	PageHeight      int `koanf:"page_height"`
	Requests        int `koanf:"requests"`
	MemoryMegabytes int `koanf:"memory_megabytes"`
}

// Values of the setting key.
const (
	keyP384 = "p384"
	keySM2  = "p384+sm2"
)

func defaults() config {
	return config{
		Lang: "zh-CN", Key: keyP384, RetentionDays: 3*365 + 1, CaseRetentionDays: 30*365 + 8, FindingRetentionDays: 5*365 + 2,
		Browser: browserConfig{Width: 1280, Height: 800, Scale: 1},
		Store:   storeConfig{Kind: "dir"},
		Clock:   clockConfig{NTP: []string{"ntp.ntsc.ac.cn", "ntp5.aliyun.com", "ntp.tencent.com", "cn.pool.ntp.org"}, StampSeconds: 300},
		Log:     logConfig{StampHours: 24},
	}
}

// homeDir is GUZHENG_HOME, or .guzheng in the user's home directory.
func homeDir() (string, error) {
	if dir := os.Getenv("GUZHENG_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fail(exitUsage, "set GUZHENG_HOME to a directory", "finding the home directory: %w", err)
	}
	return filepath.Join(home, ".guzheng"), nil
}

// loadConfig reads the configuration: defaults, then the file, then the
// environment. An unknown key is an error, so that a mistyped setting does
// not pass for a set one. Only a file named by --config must exist.
func loadConfig(home, file string) (config, error) {
	must := file != ""
	if !must {
		file = filepath.Join(home, "config.yaml")
	}
	k := koanf.New(".")
	if err := k.Load(structs.Provider(defaults(), "koanf"), nil); err != nil {
		return config{}, fmt.Errorf("reading defaults: %w", err)
	}
	known := map[string]bool{}
	for _, key := range k.Keys() {
		known[key] = true
	}
	b, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := mergeFile(k, file, b, known); err != nil {
			return config{}, err
		}
	case must || !errors.Is(err, fs.ErrNotExist):
		return config{}, fail(exitUsage, "", "reading configuration: %w", err)
	}
	if err := k.Load(env.Provider(".", env.Opt{Prefix: "GUZHENG_", TransformFunc: fromEnv}), nil); err != nil {
		return config{}, fmt.Errorf("reading environment: %w", err)
	}
	var c config
	if err := k.Unmarshal("", &c); err != nil {
		return config{}, fail(exitUsage, "", "reading configuration %s: %w", file, err)
	}
	for i, t := range c.TSA {
		if t.Roots != "" && !filepath.IsAbs(t.Roots) {
			c.TSA[i].Roots = filepath.Join(filepath.Dir(file), t.Roots)
		}
	}
	c.Store.anchor(filepath.Dir(file))
	return c, c.check(file)
}

func mergeFile(k *koanf.Koanf, file string, b []byte, known map[string]bool) error {
	f := koanf.New(".")
	if len(bytes.TrimSpace(b)) > 0 {
		if err := f.Load(rawbytes.Provider(b), yaml.Parser()); err != nil {
			return fail(exitUsage, "", "reading configuration %s: %w", file, err)
		}
	}
	for _, key := range f.Keys() {
		if !known[key] {
			return fail(exitUsage, "README lists the settings", "reading configuration %s: no setting is called %q", file, key)
		}
	}
	return k.Merge(f)
}

// fromEnv takes only the settings that make sense in an environment.
func fromEnv(key, value string) (string, any) {
	switch key {
	case "GUZHENG_LANG", "GUZHENG_PASSPHRASE_FILE":
		return strings.ToLower(strings.TrimPrefix(key, "GUZHENG_")), value
	}
	return "", nil
}

func (c config) check(file string) error {
	if c.Lang != "zh-CN" && c.Lang != "en" {
		return fail(exitUsage, "use zh-CN or en", "configuration %s: language %q", file, c.Lang)
	}
	if c.RetentionDays < 1 || c.FindingRetentionDays < c.RetentionDays || c.CaseRetentionDays < c.FindingRetentionDays {
		return fail(exitUsage, "neither finding_retention_days nor case_retention_days can be shorter than the one before",
			"configuration %s: retention_days %d, finding_retention_days %d, case_retention_days %d",
			file, c.RetentionDays, c.FindingRetentionDays, c.CaseRetentionDays)
	}
	if err := c.Store.check(file); err != nil {
		return err
	}
	if err := c.Log.check(file); err != nil {
		return err
	}
	for i, t := range c.TSA {
		if err := t.check(); err != nil {
			return fail(exitUsage, "", "configuration %s: tsa %d: %w", file, i+1, err)
		}
	}
	if c.Key != keyP384 && c.Key != keySM2 {
		return fail(exitUsage, "", "configuration %s: key %q is neither %s nor %s", file, c.Key, keyP384, keySM2)
	}
	if c.Clock.StampSeconds < 0 {
		return fail(exitUsage, "", "configuration %s: clock.stamp_seconds %d is negative", file, c.Clock.StampSeconds)
	}
	return nil
}

func (l logConfig) check(file string) error {
	if l.StampHours < 1 {
		return fail(exitUsage, "", "configuration %s: log.stamp_hours %d", file, l.StampHours)
	}
	if err := l.panel().Policy().Check(); err != nil {
		return fail(exitUsage, "", "configuration %s: log.witnesses: %w", file, err)
	}
	for _, w := range l.Witnesses {
		if !strings.HasPrefix(w.URL, "http://") && !strings.HasPrefix(w.URL, "https://") {
			return fail(exitUsage, "", "configuration %s: log.witnesses: url %q is not http or https", file, w.URL)
		}
	}
	if l.URL != "" {
		return l.checkWorker(file)
	}
	if l.Require && len(l.Witnesses) == 0 {
		return fail(exitUsage, "", "configuration %s: log.require without log.witnesses", file)
	}
	return nil
}

func (l logConfig) checkWorker(file string) error {
	switch {
	case !strings.HasPrefix(l.URL, "http://") && !strings.HasPrefix(l.URL, "https://"):
		return fail(exitUsage, "", "configuration %s: log.url %q is not http or https", file, l.URL)
	case l.TokenFile == "":
		return fail(exitUsage, "", "configuration %s: log.url needs log.token_file", file)
	case l.Require:
		return fail(exitUsage, "set log.witnesses where guzheng log serve runs", "configuration %s: log.require together with log.url", file)
	}
	return nil
}

func (l logConfig) panel() witness.Panel {
	p := witness.Panel{Quorum: l.Quorum}
	for _, w := range l.Witnesses {
		p.Witnesses = append(p.Witnesses, witness.Witness{Key: w.Key, URL: w.URL})
	}
	return p
}

// passphrase reads the first line of the passphrase file.
func (c config) passphrase() ([]byte, error) {
	if c.PassphraseFile == "" {
		return nil, nil
	}
	return firstLine("passphrase", c.PassphraseFile)
}

// firstLine reads a secret out of a file.
func firstLine(what, file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fail(exitUsage, "", "reading %s: %w", what, err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	if line = bytes.TrimRight(line, "\r"); len(line) == 0 {
		return nil, fail(exitUsage, "", "reading %s: first line of %s is empty", what, file)
	}
	return line, nil
}

// retain returns until when a record is kept at least.
func (c config) retain(o capture.Order, kept time.Time) time.Time {
	if o.Case != "" {
		return kept.AddDate(0, 0, c.CaseRetentionDays)
	}
	return kept.AddDate(0, 0, c.RetentionDays)
}

// terms are the days of each class of retention.
func (c config) terms() custody.Terms {
	t := custody.DefaultTerms()
	t[custody.Sweep], t[custody.Finding] = c.RetentionDays, c.FindingRetentionDays
	t[custody.Case], t[custody.Archive] = c.CaseRetentionDays, max(c.CaseRetentionDays, t[custody.Archive])
	return t
}

// limits turns the settings into the limits of an order.
func (c config) limits() capture.Limits {
	l := capture.DefaultLimits()
	set := func(to *int64, n int, unit int64) {
		if n > 0 {
			*to = int64(n) * unit
		}
	}
	set(&l.NavigateMS, c.Limits.NavigateSeconds, 1000)
	set(&l.ScrollMS, c.Limits.ScrollSeconds, 1000)
	set(&l.ArtefactMS, c.Limits.ArtefactSeconds, 1000)
	set(&l.TotalMS, c.Limits.TotalSeconds, 1000)
	set(&l.BodyBytes, c.Limits.BodyMegabytes, 1<<20)
	set(&l.TotalBytes, c.Limits.TotalMegabytes, 1<<20)
	set(&l.PageHeight, c.Limits.PageHeight, 1)
	set(&l.MemoryBytes, c.Limits.MemoryMegabytes, 1<<20)
	if c.Limits.Requests > 0 {
		l.Requests = c.Limits.Requests
	}
	return l
}
