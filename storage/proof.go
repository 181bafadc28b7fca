package storage

import (
	"context"
	"time"
)

// ProofFormat is the only value of Proof.Format.
const ProofFormat = "guzheng-store-proof/1"

// What a Prober tries, in this order.
const (
	TrialCreateOnly = "create-only" // a taken name is refused
	TrialChecksum   = "checksum"    // bytes with another SHA-256 value than announced are refused
	TrialDelete     = "delete"      // removal before the date is refused, to whoever asks with our credentials
	TrialShorten    = "shorten"     // an earlier date is refused
	TrialHold       = "hold"        // removal after the date, under a hold, is refused
)

// A Proof is what a store was seen to enforce, on objects that were made for
// it and nothing else.
type Proof struct {
	Format string    `json:"format"`
	Store  string    `json:"store"` // where: a directory or s3://BUCKET at an endpoint
	Time   time.Time `json:"time"`  // by this machine's clock
	Trials []Trial   `json:"trials"`
}

// A Trial is one attempt at what a store has to refuse.
type Trial struct {
	Name   string `json:"name"`
	Held   bool   `json:"held"`             // it refused
	Detail string `json:"detail,omitempty"` // what it said or did
}

// Held tells whether the store refused in the trial of this name.
func (p Proof) Held(name string) bool {
	for _, t := range p.Trials {
		if t.Name == name {
			return t.Held
		}
	}
	return false
}

// Lock is the level that the proof supports: LockStore when removal and
// shortening were refused, else LockHash.
func (p Proof) Lock() Lock {
	if p.Held(TrialDelete) && p.Held(TrialShorten) {
		return LockStore
	}
	return LockHash
}

// A Prober is a store that can be tried.
type Prober interface {
	// Probe tries what the store enforces; it takes some seconds, because a
	// date has to pass. A trial that could not be made is an error.
	Probe(ctx context.Context) (Proof, error)
}
