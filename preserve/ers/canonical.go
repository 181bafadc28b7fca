package ers

import (
	"bytes"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var errCMS = errors.New("token is not a SignedData")

// canonical sorts the certificates of a token as DER wants a SET OF to be.
// Authorities send them in the order of the chain, and other implementations
// hash what they encoded again, sorted. Nothing that is signed is touched: the
// list of certificates is not.
func canonical(token []byte) ([]byte, error) {
	in := cryptobyte.String(token)
	var info, outer, signed cryptobyte.String
	var kind cryptobyte.String
	explicit := cbasn1.Tag(0).ContextSpecific().Constructed()
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() || !info.ReadASN1Element(&kind, cbasn1.OBJECT_IDENTIFIER) ||
		!info.ReadASN1(&outer, explicit) || !info.Empty() || !outer.ReadASN1(&signed, cbasn1.SEQUENCE) || !outer.Empty() {
		return nil, errCMS
	}
	var parts [][]byte
	for !signed.Empty() {
		var part, body cryptobyte.String
		var tag cbasn1.Tag
		if !signed.ReadAnyASN1Element(&part, &tag) {
			return nil, errCMS
		}
		whole := part
		if tag == explicit && part.ReadASN1(&body, tag) {
			sorted, err := sortedSet(body, tag)
			if err != nil {
				return nil, err
			}
			whole = sorted
		}
		parts = append(parts, whole)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(kind)
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(parts, nil)) })
		})
	})
	return b.Bytes()
}

func sortedSet(body cryptobyte.String, tag cbasn1.Tag) ([]byte, error) {
	var members [][]byte
	for !body.Empty() {
		var m cryptobyte.String
		var t cbasn1.Tag
		if !body.ReadAnyASN1Element(&m, &t) {
			return nil, errCMS
		}
		members = append(members, m)
	}
	slices.SortFunc(members, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(members, nil)) })
	return b.Bytes()
}
