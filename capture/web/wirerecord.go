package web

import (
	"bytes"
	"os"
	"path/filepath"

	"guzheng/capture"
	"guzheng/capture/wire"
)

// A wireFile is the record of the connections being made.
type wireFile struct {
	rec  *wire.Recorder
	file *capture.Writer
}

// openWire starts to keep the bytes of every connection, when the order
// wants them.
func (v *visit) openWire() error {
	if !v.order.Wire {
		return nil
	}
	f, err := v.dir.Create(capture.FileWire, wire.MediaType, "evidence/wire.pcapng")
	if err != nil {
		return err
	}
	temp := v.pool.browser.TempDir
	if temp == "" {
		temp = os.TempDir()
	}
	spool := filepath.Join(temp, "wire-"+v.pageID)
	rec, err := wire.New(f, spool, v.now, v.order.ID+" "+v.order.URL)
	if err != nil {
		f.Discard()
		return err
	}
	rec.Limit = v.order.Limits.TotalBytes * 2
	v.wire = wireFile{rec: rec, file: f}
	return nil
}

// takeSecrets reads the browser's key log while its profile is still there, and
// that of the guard's own handshakes.
func (v *visit) takeSecrets() {
	if v.wire.rec == nil || v.proc == nil {
		return
	}
	log, err := wire.ReadKeyLog(v.proc.keys)
	if err != nil {
		v.journal.Anomaly("wire.secrets-missing", "detail", err.Error())
	}
	own := v.guard.mutual.keyLog()
	placed := v.wire.rec.Secrets(own)
	if left := bytes.Count(own, []byte("\n")) - placed; left > 0 {
		// Of a second handshake, inside a connection: its place is not known.
		v.journal.Anomaly("wire.secrets-unplaced", "lines", left)
	}
	if n := v.wire.rec.Secrets(log) + placed; err == nil || n > 0 {
		v.journal.Step("wire.secrets", "lines", n)
	}
}

// closeWire ends the record.
func (v *visit) closeWire() {
	w := v.wire
	if w.rec == nil {
		return
	}
	if at, cut := w.rec.Cut(); cut {
		v.journal.Anomaly("wire.cut", "at", at.UTC(), "bytes", w.rec.Size())
		v.because("wire.cut", "")
	}
	if err := w.rec.Close(); err != nil {
		w.file.Discard()
		v.missing("wire", err)
		return
	}
	if err := w.file.Close(); err != nil {
		v.missing("wire", err)
	}
}
