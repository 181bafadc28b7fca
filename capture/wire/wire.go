// Package wire keeps the bytes of TCP connections as a capture file that
// Wireshark, tshark and Zeek open (pcapng, draft-ietf-opsawg-pcapng), with
// the TLS secrets that make them readable inside it. What a server signed in
// the handshake (CertificateVerify, RFC 8446 section 4.4.3) and every byte
// under the keys agreed in it can then be checked without the program that
// took them down.
//
// Life of a recording: New opens a spool file, a capture file of its own.
// Conn enters a connection with the addresses of its real socket; its owner
// passes on what went out (Stream.Sent) and what came in (Stream.Received).
// Each piece becomes segments of a TCP conversation with the true time.
// Secrets takes the browser's key log, at the latest when the browser has
// ended. Close writes the file: header, interface, secrets, then the packets
// copied from the spool. Secrets come first because tools may use only those
// that stand before the packets (section 4.7 of the draft) and tshark does.
// No payload is held in memory. After a crash the spool is left: readable,
// without secrets.
//
// What is true in a packet: addresses, ports, order, payload, and the time at
// which the payload was handed to the socket or was read from it. What is
// made: handshake, segment borders, sequence numbers, acknowledgements,
// checksums, time to live. The comment in the file's header says so.
//
// Trust: the bytes come from servers and from the browser and are stored, not
// parsed. Whoever holds the session secrets after the fact could have made
// the encrypted records as well (they are symmetric keys); the recording
// proves no more than that the program that keeps it says so. The signature
// in CertificateVerify is the server's and covers the handshake alone. The
// key log is the browser's word, or that of whoever shook hands in its place;
// lines of another form are left out, and a wrong secret decrypts nothing.
package wire

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// MediaType is the media type of the file; none is registered with IANA.
const MediaType = "application/x-pcapng"

// synthetic is told in the header of every file.
const synthetic = "Recorded at a proxy, not on a network interface. True: addresses and ports of the sockets, " +
	"payload bytes, their order, and the times, which are those of each write to and read from the socket. " +
	"Made for readers of this format: the packets that open, acknowledge and end a connection, the cutting into " +
	"segments, sequence numbers, checksums and all other header fields."

// A Recorder makes one capture file. Its methods may be called from several
// goroutines. A write that does not succeed ends the recording, never the
// connections that are recorded; Close returns it.
type Recorder struct {
	// Limit bounds the spool in bytes; zero means no limit. What comes
	// after it is counted and not kept. It MUST be set before the first Conn.
	Limit int64

	w     io.Writer
	now   func() time.Time
	about pcapgo.NgSectionInfo
	spool *os.File

	mu       sync.Mutex
	ng       *pcapgo.NgWriter
	head     int64 // bytes of the spool before the first packet
	size     int64 // bytes of the spool
	buf      gopacket.SerializeBuffer
	secrets  keyLog
	begun    time.Time
	conns    uint32
	packets  uint64
	dropped  uint64
	cut      time.Time
	err      error
	finished bool
}

// New starts a recording that Close will write to w. The packets are
// collected in a new file named spool, which Close removes. comment goes into
// the header of the file, followed by a statement of what is true in it.
func New(w io.Writer, spool string, now func() time.Time, comment string) (*Recorder, error) {
	f, err := os.OpenFile(spool, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the spool of a wire record: %w", err)
	}
	r := &Recorder{w: w, now: now, spool: f, buf: gopacket.NewSerializeBuffer(), begun: now(), secrets: newKeyLog(),
		about: pcapgo.NgSectionInfo{Application: "guzheng", OS: runtime.GOOS, Hardware: runtime.GOARCH,
			Comment: option(comment + "\n" + synthetic)}}
	count := &tally{w: f}
	if r.ng, err = r.header(count); err == nil {
		err = r.ng.Flush()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing the spool of a wire record: %w", err), f.Close(), os.Remove(spool))
	}
	r.head, r.size = count.n, count.n
	return r, nil
}

// header begins a capture file: one section, one interface.
func (r *Recorder) header(w io.Writer) (*pcapgo.NgWriter, error) {
	face := pcapgo.NgInterface{Name: "guard", Description: "sockets of the guard proxy towards the servers",
		LinkType: layers.LinkTypeRaw}
	return pcapgo.NewNgWriterInterface(w, face, pcapgo.NgWriterOptions{SectionInfo: r.about})
}

// option fits a text into the 16-bit length of a pcapng option.
func option(s string) string {
	if len(s) <= math.MaxUint16 {
		return s
	}
	s = s[:math.MaxUint16]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// Conn enters a connection that was just made. The addresses are those of
// its socket. A nil Recorder returns a nil Stream, which records nothing.
func (r *Recorder) Conn(local, remote net.Addr) *Stream {
	if r == nil {
		return nil
	}
	from, err1 := netip.ParseAddrPort(local.String())
	to, err2 := netip.ParseAddrPort(remote.String())
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(err1, err2); err != nil {
		r.fail(fmt.Errorf("recording a connection from %s to %s: %w", local, remote, err))
		return nil
	}
	r.conns++
	s := newStream(r, from, to, r.conns)
	s.open(r.now())
	r.flush()
	return s
}

// Secrets adds the lines of a TLS key log (draft-ietf-tls-keylogfile) that
// have its form, are of a connection recorded here and are not there yet, and
// returns how many those are. A browser that also served others may so hand
// over its whole log. It has no effect after Close.
func (r *Recorder) Secrets(log []byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.secrets.add(log)
}

func (r *Recorder) hello(first []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets.hello(first)
}

// Size returns the bytes spooled so far.
func (r *Recorder) Size() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size
}

// Cut returns when the limit was reached and whether it was.
func (r *Recorder) Cut() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cut, !r.cut.IsZero()
}

// Close writes the file and removes the spool. Streams record nothing more.
// It does not close w. A second call does nothing.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return nil
	}
	r.finished = true
	if r.err == nil {
		r.fail(r.finish())
	}
	return errors.Join(r.err, r.spool.Close(), os.Remove(r.spool.Name()))
}

func (r *Recorder) finish() error {
	stats := pcapgo.NgInterfaceStatistics{LastUpdate: r.now(), StartTime: r.begun, EndTime: r.now(),
		PacketsReceived: r.packets + r.dropped, PacketsDropped: r.dropped}
	if err := errors.Join(r.ng.WriteInterfaceStats(0, stats), r.ng.Flush()); err != nil {
		return fmt.Errorf("writing the spool of a wire record: %w", err)
	}
	final, err := r.header(r.w)
	if err != nil {
		return fmt.Errorf("writing a wire record: %w", err)
	}
	for block := range r.secrets.blocks() {
		if err := final.WriteDecryptionSecretsBlock(pcapgo.DSB_SECRETS_TYPE_TLS, block); err != nil {
			return fmt.Errorf("writing a wire record: %w", err)
		}
	}
	if err := final.Flush(); err != nil {
		return fmt.Errorf("writing a wire record: %w", err)
	}
	if _, err := r.spool.Seek(r.head, io.SeekStart); err != nil {
		return fmt.Errorf("reading the spool of a wire record: %w", err)
	}
	if _, err := io.Copy(r.w, r.spool); err != nil {
		return fmt.Errorf("writing a wire record: %w", err)
	}
	return nil
}

// fail keeps the first error.
func (r *Recorder) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// packet appends one packet to the spool; r.mu is held.
func (r *Recorder) packet(t time.Time, of ...gopacket.SerializableLayer) {
	const frame = 32 // an enhanced packet block without its data
	switch {
	case r.err != nil || r.finished:
		return
	case !r.cut.IsZero():
		r.dropped++
		return
	}
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(r.buf, opts, of...); err != nil {
		r.fail(fmt.Errorf("making a packet: %w", err))
		return
	}
	b := r.buf.Bytes()
	size := frame + int64(len(b)+3)&^3
	if r.Limit > 0 && r.size+size > r.Limit {
		r.cut = t
		r.dropped++
		return
	}
	info := gopacket.CaptureInfo{Timestamp: t, CaptureLength: len(b), Length: len(b)}
	if err := r.ng.WritePacket(info, b); err != nil {
		r.fail(fmt.Errorf("writing the spool of a wire record: %w", err))
		return
	}
	r.packets++
	r.size += size
}

// flush leaves the spool at the end of a block, should this be the last.
func (r *Recorder) flush() {
	if r.err != nil || r.finished {
		return
	}
	if err := r.ng.Flush(); err != nil {
		r.fail(fmt.Errorf("writing the spool of a wire record: %w", err))
	}
}

// A tally counts what passes to w.
type tally struct {
	w io.Writer
	n int64
}

func (t *tally) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.n += int64(n)
	return n, err
}
