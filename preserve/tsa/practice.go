package tsa

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/digitorus/timestamp"

	"guzheng/preserve/internal/firstuse"
)

// PracticeName is Stamp.TSA of the practice authority.
const PracticeName = "practice"

// PracticePolicy is the policy in every practice token. It lies in the arc
// for documentation (RFC 5612), so that no real authority has it.
const PracticePolicy = "1.3.6.1.4.1.32473.1.1"

// practiceOrganization stands in the subject of both practice certificates.
const practiceOrganization = "PRACTICE ONLY - this machine's own clock - no third party"

// Files of the practice authority. The first holds the private key; the
// second is a copy of the root for other tools, made again when missing.
const (
	practiceFile     = "practice-tsa.pem"
	practiceRootFile = "practice-tsa-root.pem"
)

// ErrLost is wrapped when part of an authority's files is missing, so that a
// silent second identity is never made.
var ErrLost = errors.New("practice authority's key is missing although its root exists")

// Practice is an authority in this process. It proves nothing to anybody
// else: its clock and its key are this machine's own. It exists so that the
// whole path is exercised without a contract with an authority.
type Practice struct {
	key  *ecdsa.PrivateKey
	leaf *x509.Certificate
	root *x509.Certificate
	now  func() time.Time
}

var _ Authority = (*Practice)(nil)

// OpenPractice loads the practice authority in dir, making its P-256 key and
// certificates at first use. Dir must exist. Several processes may do so at
// once: all get the same key. The root's private key is used once and then
// forgotten.
func OpenPractice(dir string, now func() time.Time) (*Practice, error) {
	name := filepath.Join(dir, practiceFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(dir, practiceRootFile)); err == nil {
			// Another process may have made both since the first look.
			if _, err := os.Lstat(name); err != nil {
				return nil, fmt.Errorf("opening practice authority in %s: %w", dir, ErrLost)
			}
		} else if err := makePractice(name, now()); err != nil {
			return nil, err
		}
		b, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("opening practice authority: %w", err)
	}
	p, err := parsePractice(b)
	if err != nil {
		return nil, fmt.Errorf("opening practice authority %s: %w", name, err)
	}
	p.now = now
	return p, p.publishRoot(filepath.Join(dir, practiceRootFile))
}

// Name returns PracticeName.
func (p *Practice) Name() string { return PracticeName }

// Root returns the practice root certificate, for openssl ts -CAfile.
func (p *Practice) Root() *x509.Certificate { return p.root }

// Stamp stamps with this machine's clock, in whole seconds.
func (p *Practice) Stamp(ctx context.Context, imprint [32]byte) Stamp {
	d := Digests{SHA256: imprint}
	s, err := begin(PracticeName, SHA256, d, PracticePolicy)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return s.fail(p.now(), err)
	}
	s.Response, err = p.answer(s.Request)
	if err != nil {
		return s.fail(p.now(), err)
	}
	return s.arrived(p.now(), d, Trust{})
}

// answer makes the TimeStampResp to a TimeStampReq.
func (p *Practice) answer(query []byte) ([]byte, error) {
	req, err := timestamp.ParseRequest(query)
	if err != nil {
		return nil, fmt.Errorf("reading time-stamp request: %w", err)
	}
	now := p.now().UTC().Truncate(time.Second)
	if err := p.mayStamp(now); err != nil {
		return nil, err
	}
	policy, err := ParsePolicy(PracticePolicy)
	if err != nil {
		return nil, err
	}
	t := timestamp.Timestamp{HashAlgorithm: req.HashAlgorithm, HashedMessage: req.HashedMessage,
		Time: now, Accuracy: time.Second, Policy: policy, Nonce: req.Nonce,
		Certificates: []*x509.Certificate{p.root}, AddTSACertificate: req.Certificates}
	b, err := t.CreateResponseWithOpts(p.leaf, p.key, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing practice time stamp: %w", err)
	}
	return b, nil
}

// mayStamp wants the certificate to be valid at the time of a token.
func (p *Practice) mayStamp(now time.Time) error {
	if now.Before(p.leaf.NotBefore) || now.After(p.leaf.NotAfter) {
		return fmt.Errorf("practice certificate is valid from %s to %s, the clock says %s",
			p.leaf.NotBefore.Format(time.RFC3339), p.leaf.NotAfter.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return nil
}

// makePractice makes key and certificates and links them into place. When
// another process was faster, its files stand.
func makePractice(name string, now time.Time) error {
	b, err := practicePEM(now)
	if err != nil {
		return fmt.Errorf("making practice authority: %w", err)
	}
	if err := firstuse.Write(name, b); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making practice authority: %w", err)
	}
	return nil
}
