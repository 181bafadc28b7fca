package tsa

import "time"

// A Stamp is one attempt to have a digest time-stamped: what was asked, what
// came back, or why nothing did. It is stored as it is, so that the exchange
// can be checked again with other tools.
type Stamp struct {
	TSA      string    `json:"tsa"`                // URL, or "practice"
	At       time.Time `json:"at"`                 // this machine's clock when the attempt ended
	Imprint  string    `json:"imprint"`            // SHA-256 value sent, hex
	Request  []byte    `json:"request,omitempty"`  // TimeStampReq, DER (RFC 3161 section 2.4.1)
	Response []byte    `json:"response,omitempty"` // TimeStampResp, DER (section 2.4.2)
	Error    string    `json:"error,omitempty"`    // why there is no usable response
}

// Pending reports whether the attempt has to be made again.
func (s Stamp) Pending() bool { return s.Error != "" || len(s.Response) == 0 }
