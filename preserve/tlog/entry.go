package tlog

// An Entry is one event of the transparency log with everything needed to
// check offline that the log holds it.
type Entry struct {
	Origin     string   `json:"origin"`     // the log's name, first line of its checkpoints
	Verifier   string   `json:"verifier"`   // the log's key in note verifier form (C2SP signed-note)
	Index      int64    `json:"index"`      // place in the log, from 0
	Leaf       []byte   `json:"leaf"`       // the event as logged
	Proof      [][]byte `json:"proof"`      // inclusion hashes, RFC 6962 section 2.1.1
	Checkpoint string   `json:"checkpoint"` // signed note (C2SP tlog-checkpoint)
	Error      string   `json:"error,omitempty"`
}

// Pending reports whether the log could not be reached.
func (e Entry) Pending() bool { return e.Checkpoint == "" }
