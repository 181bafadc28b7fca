package witness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"guzheng/capture"
	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/tiles"
)

// Limits of asking.
const (
	DefaultTimeout = 10 * time.Second
	maxAnswer      = 64 << 10
	rounds         = 3 // with newer checkpoints, when a witness is ahead
)

// A Witness is one party that cosigns.
type Witness struct {
	Key string // verifier key NAME+HASH+KEY of type 4
	URL string // submission prefix (C2SP tlog-witness)
}

// A Panel is the witnesses of a log and how many of them make a quorum.
type Panel struct {
	Witnesses []Witness
	Quorum    int           // 0 is all
	Timeout   time.Duration // of one request; 0 is DefaultTimeout
	Client    *http.Client  // nil is http.DefaultClient
}

// Policy is what a reader checks.
func (p Panel) Policy() tlog.Policy {
	out := tlog.Policy{Quorum: p.Quorum}
	for _, w := range p.Witnesses {
		out.Witnesses = append(out.Witnesses, w.Key)
	}
	return out
}

func (p Panel) satisfied(text string) bool {
	return tlog.CheckWitnesses(text, p.Policy()).State == tlog.Passed
}

// errAhead says that a witness knows a larger tree than was sent: another
// process was quicker.
var errAhead = errors.New("witness knows a larger tree")

// ask sends the newest checkpoint to all witnesses at once and returns it
// with their cosignatures. With too few it returns ErrTooFew and what came.
func (p Panel) ask(ctx context.Context, state string, newest func() (*tiles.Tree, error)) (string, error) {
	known, err := readKnown(state)
	if err != nil {
		return "", err
	}
	for round := 1; ; round++ {
		tree, err := newest()
		if err != nil {
			return "", err
		}
		text, errs := p.askAll(ctx, tree, known)
		if werr := known.write(state); werr != nil {
			return "", werr
		}
		if p.satisfied(text) {
			return text, nil
		}
		why := errors.Join(errs...)
		if errors.Is(why, errAhead) && round < rounds && ctx.Err() == nil {
			continue
		}
		if got, err := tlog.Cosignatures(text, p.Policy()); err != nil || len(got) == 0 {
			text = ""
		}
		return text, fmt.Errorf("%w: %w", ErrTooFew, why)
	}
}

// askAll asks every witness about one tree.
func (p Panel) askAll(ctx context.Context, tree *tiles.Tree, known *knowledge) (string, []error) {
	lines, errs := make([]string, len(p.Witnesses)), make([]error, len(p.Witnesses))
	var wg sync.WaitGroup
	for i, w := range p.Witnesses {
		wg.Go(func() {
			if lines[i], errs[i] = p.askOne(ctx, w, tree, known); errs[i] != nil {
				name, _, _ := strings.Cut(w.Key, "+")
				errs[i] = fmt.Errorf("witness %s: %w", name, errs[i])
			}
		})
	}
	wg.Wait()
	return tree.Note() + strings.Join(lines, ""), errs
}

// askOne sends a checkpoint to one witness. One that knows another size than
// was thought tells it, and is asked again from there.
func (p Panel) askOne(ctx context.Context, w Witness, tree *tiles.Tree, known *knowledge) (string, error) {
	size := tree.Checkpoint().Size
	for range 2 {
		old := min(known.of(w.Key), size)
		proof, err := tree.Consistency(old, size)
		if err != nil {
			return "", err
		}
		line, knows, err := p.post(ctx, w, tlog.Consistency{Old: old, Proof: proof, Checkpoint: tree.Note()})
		if err == nil {
			known.set(w.Key, size)
			return line, nil
		}
		if knows < 0 || knows == old {
			return "", err
		}
		known.set(w.Key, knows)
		if knows > size {
			return "", fmt.Errorf("it has %d events, sent were %d: %w", knows, size, errAhead)
		}
	}
	return "", errors.New("it tells another size each time")
}

// post makes one add-checkpoint request. Knows is the size that the witness
// says it has cosigned, or -1.
func (p Panel) post(ctx context.Context, w Witness, c tlog.Consistency) (line string, knows int64, err error) {
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	url := strings.TrimSuffix(w.URL, "/") + "/add-checkpoint"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(c.Format()))
	if err != nil {
		return "", -1, err
	}
	client := p.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", -1, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(b) > maxAnswer {
		return "", -1, fmt.Errorf("reading its answer, %d bytes: %w", len(b), err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		line, err := ownLine(w, c.Checkpoint, string(b))
		return line, -1, err
	case http.StatusConflict:
		if resp.Header.Get("Content-Type") == "text/x.tlog.size" {
			if knows, err = strconv.ParseInt(strings.TrimSuffix(string(b), "\n"), 10, 64); err == nil && knows >= 0 {
				return "", knows, fmt.Errorf("it has cosigned another tree of %d events", knows)
			}
		}
	}
	return "", -1, fmt.Errorf("it refuses: status %d: %.200q", resp.StatusCode, b)
}

// ownLine takes out of an answer the one line that is the witness's valid
// cosignature, and drops whatever else is in it.
func ownLine(w Witness, checkpoint, answer string) (string, error) {
	v, err := tlog.NewWitness(w.Key)
	if err != nil {
		return "", err
	}
	text, _, _ := strings.Cut(checkpoint, "\n\n")
	n, err := note.Open([]byte(text+"\n\n"+answer), note.VerifierList(v))
	if err != nil {
		return "", fmt.Errorf("its answer %.200q: %w", answer, err)
	}
	return fmt.Sprintf("— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64), nil
}

// knowledge is how far each witness has come, by its key. It is a hint: a
// witness corrects it.
type knowledge struct {
	mu    sync.Mutex
	sizes map[string]int64
}

const knowledgeFile = "sizes.json"

func readKnown(state string) (*knowledge, error) {
	k := &knowledge{sizes: map[string]int64{}}
	b, err := os.ReadFile(filepath.Join(state, knowledgeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what witnesses know: %w", err)
	}
	if json.Unmarshal(b, &k.sizes) != nil || k.sizes == nil {
		k.sizes = map[string]int64{}
	}
	return k, nil
}

func (k *knowledge) of(key string) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(0, k.sizes[key])
}

func (k *knowledge) set(key string, size int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sizes[key] = size
}

func (k *knowledge) write(state string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := json.MarshalIndent(k.sizes, "", "  ")
	if err != nil {
		return err
	}
	return capture.WriteFile(filepath.Join(state, knowledgeFile), append(b, '\n'))
}
