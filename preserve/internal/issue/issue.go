// Package issue makes RFC 3161 time-stamp responses over imprints of any hash
// function, for the practice authority and for the authorities of tests.
//
// Life of a response: the caller has a request that it has read itself, its
// certificates and its key; Response fills a TSTInfo, signs it as CMS and
// wraps it as granted.
//
// Trust: none is given here. What the caller says is what stands in the
// token; who believes it is the business of the reader.
package issue

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/digitorus/pkcs7"
)

// A Token says what is to stand in a response. Certificates[0] belongs to
// Key; the others are its issuers, in order.
type Token struct {
	Hash         asn1.ObjectIdentifier // of the imprint
	Imprint      []byte
	Policy       asn1.ObjectIdentifier
	Nonce        *big.Int // nil when the request had none
	Time         time.Time
	Certificates []*x509.Certificate
	Key          crypto.Signer
}

// Identifiers of RFC 3161 section 2.4.2 and RFC 5035 section 3.
var (
	oidTSTInfo              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
)

// Imprint is MessageImprint of RFC 3161 section 2.4.1.
type Imprint struct {
	Hash  pkix.AlgorithmIdentifier
	Value []byte
}

type accuracy struct {
	Seconds int64 `asn1:"optional"`
}

type tstInfo struct {
	Version      int
	Policy       asn1.ObjectIdentifier
	Imprint      Imprint
	SerialNumber *big.Int
	Time         time.Time `asn1:"generalized"`
	Accuracy     accuracy  `asn1:"optional"`
	Nonce        *big.Int  `asn1:"optional"`
}

type response struct {
	Status struct{ Code int }
	Token  asn1.RawValue
}

type essCertID struct{ Hash []byte } // SHA-256, which is left out (RFC 5035 section 4)

// Response returns the TimeStampResp, DER.
func Response(t Token) ([]byte, error) {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never returns an error
	serial[0] = serial[0]&0x7f | 0x40
	info, err := asn1.Marshal(tstInfo{Version: 1, Policy: t.Policy,
		Imprint:      Imprint{Hash: pkix.AlgorithmIdentifier{Algorithm: t.Hash}, Value: t.Imprint},
		SerialNumber: new(big.Int).SetBytes(serial), Time: t.Time.UTC().Truncate(time.Second), Accuracy: accuracy{1}, Nonce: t.Nonce})
	if err != nil {
		return nil, fmt.Errorf("encoding TSTInfo: %w", err)
	}
	cms, err := t.sign(info)
	if err != nil {
		return nil, fmt.Errorf("signing time stamp: %w", err)
	}
	der, err := asn1.Marshal(response{Token: asn1.RawValue{FullBytes: cms}})
	if err != nil {
		return nil, fmt.Errorf("encoding time-stamp response: %w", err)
	}
	return der, nil
}

func (t Token) sign(info []byte) ([]byte, error) {
	signed, err := pkcs7.NewSignedData(info)
	if err != nil {
		return nil, err
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	signed.SetContentType(oidTSTInfo)
	signed.GetSignedData().Version = 3
	sum := sha256.Sum256(t.Certificates[0].Raw)
	attr, err := asn1.Marshal(struct{ Certs []essCertID }{[]essCertID{{sum[:]}}})
	if err != nil {
		return nil, err
	}
	config := pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{{Type: oidSigningCertificateV2, Value: asn1.RawValue{FullBytes: attr}}}}
	if err := signed.AddSignerChain(t.Certificates[0], t.Key, t.Certificates[1:], config); err != nil {
		return nil, err
	}
	return signed.Finish()
}
