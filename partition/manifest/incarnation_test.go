package manifest

import (
	"bytes"
	"strings"
	"testing"

	"tsdb/internal/vfs"
)

// An accepted loss stays known across edits, snapshots and restarts; a MANIFEST
// that never had one says nothing of it.
func TestIncarnationIsKept(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	someEdits(t, m)
	if got := m.State().Incarnation; got != (Incarnation{}) {
		t.Fatalf("a database that lost nothing is %+v", got)
	}
	want := Incarnation{ID: 0xfeed, Losses: 2, AcceptedMs: testDay, FromMs: -5, ToMs: testDay}
	mustApply(t, m, Edit{WallMs: 8, Incarnation: &want})
	mustApply(t, m, Edit{WallMs: 9, Offsets: map[string]int64{"kafka/1": 11}})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for _, as := range []string{"edit", "snapshot"} {
		var out bytes.Buffer
		if err := Describe(&out, fsys, "d/MANIFEST"); err != nil {
			t.Fatal(err)
		}
		line := "incarnation 000000000000feed, losses accepted: 2, the last at " + FormatMs(testDay) +
			", of samples received from 1969-12-31T23:59:59.995Z to " + FormatMs(testDay)
		if !strings.Contains(out.String(), line) {
			t.Errorf("as %s:\n%s", as, out.String())
		}
		m, err := Open(fsys, "d", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.State().Incarnation; got != want {
			t.Errorf("read %+v, written %+v", got, want)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
