package web

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"guzheng/capture"
	"guzheng/capture/warc"
)

func (v *visit) openWARC() error {
	f, err := v.dir.Create(capture.FileWARC, "application/warc+gzip", "archive/data.warc.gz")
	if err != nil {
		return err
	}
	v.warcFile = f
	tool := v.pool.browser.Tool
	v.warc, err = warc.NewWriter(f, warc.Info{
		Software: tool.Name + "/" + tool.Version, Filename: "data.warc.gz",
		Description: "bodies are stored without content and transfer encodings; the order of request header fields is not known",
		Created:     v.now(), ID: "urn:uuid:" + newUUID(), TmpDir: v.pool.browser.TempDir,
	})
	return err
}

// close writes what is only known at the end.
func (v *visit) close() error {
	v.recorder.close()
	v.gatherTraffic()
	v.gatherMutual()
	v.closeWire()
	for _, r := range v.guard.dnsRecords() {
		_, err := v.warc.DNS(r.Host, r.Time, r.Server, []byte(r.Text), v.pageID)
		v.unwritten("dns:"+r.Host, err)
	}
	if v.proc != nil {
		v.facts.Browser.SHA256 = v.proc.hash()
	}
	if err := v.warc.Close(); err != nil {
		return err
	}
	if v.warcErr != nil {
		v.because("exchange.unwritten", v.warcErr.Error())
	}
	if err := v.warcFile.Close(); err != nil {
		return err
	}
	c := v.facts.Counts
	v.journal.Step("traffic.closed", "requests", c.Requests, "responses", c.Responses, "failed", c.Failed, "refused", c.Refused)
	v.facts.Clock.Jumps = v.journal.Jumps()
	return v.writeJSON(capture.FileFacts, "evidence/facts.json", v.facts)
}

// gatherTraffic moves what recorder and guard saw into facts and reasons.
func (v *visit) gatherTraffic() {
	r := v.recorder
	answers, refused, own := v.guard.report()
	v.facts.DNS, v.facts.Refused = answers, refused
	if len(own) > 0 {
		calls, hosts := 0, slices.Sorted(maps.Keys(own))
		for _, c := range own {
			calls += c
		}
		v.journal.Step("browser.own-traffic", "refused", calls, "hosts", strings.Join(hosts, ", "))
	}
	v.unexplained()
	r.mu.Lock()
	defer r.mu.Unlock()
	// Both count, each other things.
	n, seen := r.counts, v.facts.Counts
	n.Refused, n.Images, n.ImagesUnloaded, n.ScrollSteps = len(refused), seen.Images, seen.ImagesUnloaded, seen.ScrollSteps
	v.facts.Counts = n
	v.facts.Failed = r.failures
	v.mu.Lock()
	v.reasons = append(v.reasons, r.reasons...)
	v.mu.Unlock()
}

// unexplained names connections that bytes were sent on and that belong to no
// request of the record: opened ahead of need, or by a way that the browser
// does not tell of, such as WebRTC over a relay.
func (v *visit) unexplained() {
	for _, c := range v.guard.conns() {
		key := net.JoinHostPort(hostKey(c.Host), strconv.Itoa(int(c.Port)))
		if c.Up > 0 && !v.recorder.wasAsked(key) {
			v.journal.Anomaly("connection.unexplained", "host", key, "address", c.Addr, "up", c.Up, "down", c.Down)
		}
	}
}
