package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"guzheng/capture"
	"guzheng/preserve/internal/firstuse"
	"guzheng/preserve/internal/flock"
)

// ErrLost is wrapped when the log or its key is missing although the other
// exists, or when the log is shorter than it once was. Beginning a new log
// then would hide that the old one is gone.
var ErrLost = errors.New("transparency log and its key do not belong together or are incomplete")

// Files of the log's identity.
const (
	keyFile      = "log.key"     // in keys: note signer key, secret
	verifierFile = "log.pub"     // in keys: verifier key, written when the log had been begun
	lockFile     = "log.lock"    // in keys: held while the log is being opened or added to
	markerFile   = "guzheng-log" // in the log's directory: verifier key
	stateFile    = ".state/treeState"
)

// ed25519Algorithm is the signature type of C2SP signed-note.
const ed25519Algorithm = 1

// identity opens or makes the log's key. The order of writes is: directory,
// marker, key, (tree), verifier; so every combination that a crash can leave
// is told apart from one where something was removed.
func identity(dir, keys string) (signer, verifier string, err error) {
	secret, err := readOptional(filepath.Join(keys, keyFile))
	if err != nil {
		return "", "", err
	}
	marker, err := readOptional(filepath.Join(dir, markerFile))
	if err != nil {
		return "", "", err
	}
	begun := exists(filepath.Join(dir, stateFile))
	switch {
	case secret == "" && begun:
		return "", "", fmt.Errorf("log %s has entries, its key in %s is missing: %w", dir, keys, ErrLost)
	case secret == "":
		return makeIdentity(dir, keys)
	case marker == "":
		return "", "", fmt.Errorf("log %s is missing, its key in %s exists: %w", dir, keys, ErrLost)
	case !begun && exists(filepath.Join(keys, verifierFile)):
		return "", "", fmt.Errorf("log %s has lost its state: %w", dir, ErrLost)
	}
	verifier, err = verifierOf(secret)
	if err != nil {
		return "", "", err
	}
	if verifier != marker {
		return "", "", fmt.Errorf("log %s is of key %s, %s holds %s: %w", dir, marker, keys, verifier, ErrLost)
	}
	return secret, verifier, nil
}

// makeIdentity makes the key and names the log after it.
func makeIdentity(dir, keys string) (signer, verifier string, err error) {
	if exists(filepath.Join(keys, verifierFile)) {
		return "", "", fmt.Errorf("%s names a log key that is missing: %w", filepath.Join(keys, verifierFile), ErrLost)
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("making log key: %w", err)
	}
	sum := sha256.Sum256(pub)
	origin := "guzheng.local/" + hex.EncodeToString(sum[:4])
	verifier, err = note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return "", "", fmt.Errorf("making log key: %w", err)
	}
	hash := strings.Split(verifier, "+")[1]
	signer = "PRIVATE+KEY+" + origin + "+" + hash + "+" +
		base64.StdEncoding.EncodeToString(append([]byte{ed25519Algorithm}, priv.Seed()...))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", fmt.Errorf("making log directory: %w", err)
	}
	if err := capture.SyncDir(filepath.Dir(dir)); err != nil {
		return "", "", err
	}
	if err := capture.WriteFile(filepath.Join(dir, markerFile), []byte(verifier+"\n")); err != nil {
		return "", "", err
	}
	if err := firstuse.Write(filepath.Join(keys, keyFile), []byte(signer+"\n")); err != nil {
		return "", "", fmt.Errorf("making log key: %w", err)
	}
	return signer, verifier, nil
}

// verifierOf derives the verifier key from a signer key.
func verifierOf(secret string) (string, error) {
	fields := strings.Split(secret, "+")
	if len(fields) < 5 {
		return "", errors.New("reading log key: not a note signer key")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(fields[4:], "+"))
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != ed25519Algorithm {
		return "", errors.New("reading log key: not an Ed25519 note signer key")
	}
	pub, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("reading log key: not an Ed25519 note signer key")
	}
	v, err := note.NewEd25519VerifierKey(fields[2], pub)
	if err != nil {
		return "", fmt.Errorf("reading log key: %w", err)
	}
	return v, nil
}

// lock serialises the opening of the log between processes.
func lock(keys string) (unlock func(), err error) {
	unlock, err = flock.Lock(filepath.Join(keys, lockFile))
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	return unlock, nil
}

func readOptional(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("opening log: %w", err)
	}
	return string(bytes.TrimSpace(b)), nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
