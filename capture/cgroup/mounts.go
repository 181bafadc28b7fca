package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A mount is a place where a v2 hierarchy, or a part of it, can be seen.
type mount struct {
	root     string // the group that is seen at point
	point    string
	readOnly bool
}

// mounts reads the cgroup2 lines of /proc/PID/mountinfo (proc(5)), in order.
// A hybrid machine has one beside its v1 hierarchies.
func mounts(text []byte) []mount {
	var out []mount
	for line := range bytes.Lines(text) {
		before, after, ok := strings.Cut(string(line), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 1 || g[0] != "cgroup2" {
			continue
		}
		m := mount{root: unescape(f[3]), point: unescape(f[4])}
		for _, options := range append(g[min(2, len(g)):], f[5]) {
			m.readOnly = m.readOnly || slices.Contains(strings.Split(options, ","), "ro")
		}
		if path.IsAbs(m.root) && path.IsAbs(m.point) {
			out = append(out, m)
		}
	}
	return out
}

// unescape turns \040 and the like into the bytes they stand for.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// ownGroup reads /proc/PID/cgroup: the path of the process's group in the v2
// hierarchy, as its cgroup namespace shows it (cgroups(7)).
func ownGroup(text []byte) (string, error) {
	for line := range bytes.Lines(text) {
		p, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "0::")
		switch {
		case !ok:
			continue
		case strings.HasSuffix(p, " (deleted)"):
			return "", errors.New("the own group is removed")
		case !path.IsAbs(p) || slices.Contains(strings.Split(p, "/"), ".."):
			return "", fmt.Errorf("the own group %q lies outside of what can be seen", p)
		}
		return path.Clean(p), nil
	}
	return "", errors.New("the kernel has no v2 hierarchy")
}

// locate returns the directory of a group, and the mount that it is seen
// through. Later mounts cover earlier ones.
func locate(all []mount, group string) (string, mount, error) {
	why := errors.New("no v2 hierarchy is mounted")
	for _, m := range slices.Backward(all) {
		rel, err := filepath.Rel(m.root, group)
		switch {
		case err != nil || slices.Contains(strings.Split(m.root, "/"), "..") || rel == ".." || strings.HasPrefix(rel, "../"):
			why = fmt.Errorf("the own group %s is not seen at %s", group, m.point)
		case m.readOnly:
			why = fmt.Errorf("%s is read-only", m.point)
		default:
			return filepath.Join(m.point, rel), m, nil
		}
	}
	return "", mount{}, why
}
