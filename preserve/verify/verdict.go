package verify

import "guzheng/capture"

// An Outcome is one of three states. There is no fourth: a check that could
// not be made is never a success.
type Outcome string

// The three outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Unknown Outcome = "cannot tell"
)

// A Check is one layer's answer. Name is stable and has a title in the word
// catalogues; Code, stable too, says why; Detail is the machine's account.
type Check struct {
	Name    string  `json:"name"`
	Subject string  `json:"subject,omitempty"` // which one, where a layer has several: a path, a stamp
	Outcome Outcome `json:"outcome"`
	Code    string  `json:"code,omitempty"`
	Detail  string  `json:"detail,omitempty"`
}

// A Verdict is every check that was made, in order, and the digest of the
// package that they are about, as found.
type Verdict struct {
	Package capture.Digest `json:"package"`
	Checks  []Check        `json:"checks"`
}

// Outcome is Failed when any check failed, else Unknown when any could not
// tell, else Passed. A verdict without checks tells nothing.
func (v Verdict) Outcome() Outcome {
	if len(v.Checks) == 0 {
		return Unknown
	}
	out := Passed
	for _, c := range v.Checks {
		switch c.Outcome {
		case Failed:
			return Failed
		case Unknown:
			out = Unknown
		case Passed:
		}
	}
	return out
}
