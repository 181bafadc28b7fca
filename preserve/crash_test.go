package preserve

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"

	"guzheng/preserve/tlog"
	"guzheng/preserve/tlog/ledger"
)

var errCrash = errors.New("crash")

// points runs Keep once and lists where it can be ended.
func points(t *testing.T) []string {
	t.Helper()
	home, berth := spool(t)
	k, _ := open(t, home)
	var out []string
	k.at = func(p string) error { out = append(out, p); return nil }
	if _, err := k.Keep(t.Context(), berth); err != nil {
		t.Fatal(err)
	}
	if len(out) != 16 {
		t.Errorf("%d points: %v", len(out), out)
	}
	return out
}

// once wants exactly one package, one seal and one event, and a record that
// stands up to its checks.
func once(t *testing.T, k Keeper, log *ledger.Log, berth string) {
	t.Helper()
	r, err := k.Keep(t.Context(), berth)
	if err != nil {
		t.Errorf("going on: %v", err)
		return
	}
	if got := objects(t, k.Store); len(got) != 2 {
		t.Errorf("store holds %v", got)
	}
	if n, err := log.Size(t.Context()); err != nil || n != 1 {
		t.Errorf("%d events in the log, %v", n, err)
	}
	if r.SealValue.Pending() {
		t.Error("seal is pending")
	}
	if err := r.consistent(); err != nil {
		t.Error(err)
	}
	if _, err := Read(t.Context(), k.Store, r.Package.Key); err != nil {
		t.Error(err)
	}
}

// TestCrash ends Keep before and after each of its writes ("fails" and
// "fails but landed") and goes on with a new Keeper.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, point := range points(t) {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			home, berth := spool(t)
			k, log := open(t, home)
			k.at = func(p string) error {
				if p == point {
					return errCrash
				}
				return nil
			}
			if _, err := k.Keep(t.Context(), berth); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			k.at = nil
			once(t, k, log, berth)
		})
	}
}

// TestLogCrash ends Keep between the log's answer and seal.json.
func TestLogCrash(t *testing.T) {
	t.Parallel()
	home, berth := spool(t)
	k, log := open(t, home)
	k.Press.Log = cut{log}
	k.at = func(p string) error {
		if p == beforePrefix+sealFile {
			return errCrash
		}
		return nil
	}
	if _, err := k.Keep(t.Context(), berth); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if n, err := log.Size(t.Context()); err != nil || n != 1 {
		t.Fatalf("the event did not land: %d %v", n, err)
	}
	k, k.Press.Log = Keeper{Press: k.Press, Store: k.Store, Now: k.Now}, log
	once(t, k, log, berth)
}

// cut is a log whose answer is lost.
type cut struct{ *ledger.Log }

func (c cut) Append(ctx context.Context, leaf []byte, since uint64) (tlog.Entry, error) {
	if _, err := c.Log.Append(ctx, leaf, since); err != nil {
		return tlog.Entry{}, err
	}
	return tlog.Entry{}, errCrash
}

// TestKill is the same with kill -9.
func TestKill(t *testing.T) {
	t.Parallel()
	all := points(t)
	if testing.Short() {
		all = slices.DeleteFunc(all, func(p string) bool {
			return !slices.Contains([]string{beforePrefix + packageFile, afterPrefix + eventFile, beforePrefix + sealFile, afterPrefix + putPackage}, p)
		})
	}
	for _, point := range all {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			home, berth := spool(t)
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "KEEPER_TEST_HOME="+home, "KEEPER_TEST_POINT="+point)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("was not killed: %v\n%s", err, out)
			}
			k, log := open(t, home)
			once(t, k, log, berth)
		})
	}
}
