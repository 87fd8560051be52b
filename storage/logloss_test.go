package storage

import (
	"context"
	"errors"
	"math/rand"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/await"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/storage/doctor"
)

var lossBegin = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func lossOptions() Options {
	return Options{Clock: vfs.NewManualClock(lossBegin), Seed: 1, WALSegmentBytes: 64 << 10, CacheBytes: -1}
}

// killedDB returns what kill -9 leaves of a database whose log holds 100
// samples in one segment, once the list of segments has it.
func killedDB(t *testing.T) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	db, err := Open(context.Background(), mem, "data", lossOptions())
	if err != nil {
		t.Fatal(err)
	}
	writeOne(t, db, 100)
	var killed *vfs.Mem
	await.That(t, "the segment is listed", func() bool {
		info, err := mem.Stat("data/" + format.SegmentsName)
		killed = mem.Clone()
		return err == nil && info.Size > 28
	})
	if err := db.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return killed
}

// samplesIn counts the samples of a database.
func samplesIn(t *testing.T, db *DB) (n int) {
	t.Helper()
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	set, err := v.Select(context.Background(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range set.Len() {
		var s model.Samples
		if err := set.At(i).Samples(context.Background(), model.AllTime, &s); err != nil {
			t.Fatal(err)
		}
		n += s.Len()
	}
	return n
}

func removeAll(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := fs.Remove(path.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// A start on a log that has lost samples is refused, in words that help; check
// names the loss; the token accepts it, once; and the database goes on.
func TestStartIsRefusedWhenTheLogIsGone(t *testing.T) {
	ctx := context.Background()
	wal := path.Join("data", format.WALDir)
	segment := path.Join(wal, "000000000001.wal")
	for name, harm := range map[string]func(t *testing.T, fs *vfs.Mem){
		"wal/ removed": func(t *testing.T, fs *vfs.Mem) {
			removeAll(t, fs, wal)
			if err := fs.Remove(wal); err != nil {
				t.Fatal(err)
			}
		},
		"wal/ emptied": func(t *testing.T, fs *vfs.Mem) { removeAll(t, fs, wal) },
		"a segment removed": func(t *testing.T, fs *vfs.Mem) {
			if err := fs.Remove(segment); err != nil {
				t.Fatal(err)
			}
		},
		"a segment cut": func(t *testing.T, fs *vfs.Mem) {
			f, err := fs.OpenReadWrite(segment)
			if err == nil {
				err = errors.Join(f.Truncate(100), f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"a segment swapped": func(t *testing.T, fs *vfs.Mem) {
			if err := fs.Rename(path.Join(wal, "000000000002.wal"), segment); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := killedDB(t)
			harm(t, fs)
			_, err := Open(ctx, fs, "data", lossOptions())
			var lost *LogLossError
			if !errors.Is(err, ErrLogLost) || !errors.As(err, &lost) {
				t.Fatalf("opened, or not for the loss: %v", err)
			}
			for _, want := range []string{"2026-03-10T12:00:00Z", "000000000001.wal"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %s", err, want)
				}
			}
			report, err := doctor.Check(ctx, fs, "data")
			if err != nil || len(report.Damage) == 0 {
				t.Fatalf("check: %+v, %v", report, err)
			}
			all := ""
			for _, f := range report.Damage {
				all += f.File + ": " + f.What + "\n"
			}
			if !strings.Contains(all, "wal/000000000001.wal") || !strings.Contains(all, lost.Token) || !strings.Contains(all, "2026-03-10T12:00:00") {
				t.Errorf("check says\n%s", all)
			}

			if _, err := doctor.AcceptLogLoss(ctx, fs, "data", "0123456789abcdef", lossOptions().Clock); !errors.Is(err, doctor.ErrLossToken) {
				t.Fatalf("a wrong token: %v", err)
			}
			if _, err := Open(ctx, fs, "data", lossOptions()); !errors.Is(err, ErrLogLost) {
				t.Fatalf("after a wrong token: %v", err)
			}
			n, err := doctor.AcceptLogLoss(ctx, fs, "data", lost.Token, lossOptions().Clock)
			if err != nil || n.ID == 0 || n.Losses != 1 || n.FromMs != lossBegin.UnixMilli() {
				t.Fatalf("accepted as %+v, %v", n, err)
			}
			if _, err := doctor.AcceptLogLoss(ctx, fs, "data", lost.Token, lossOptions().Clock); !errors.Is(err, doctor.ErrNoLogLoss) {
				t.Errorf("accepted twice: %v", err)
			}
			if err := checkedClean(fs); err != nil {
				t.Error(err)
			}
			opts := lossOptions()
			reg := prometheus.NewRegistry()
			opts.Registerer = reg
			db, err := Open(ctx, fs, "data", opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Health(); err != nil {
				t.Error(err)
			}
			if got := samplesIn(t, db); got != 0 {
				t.Errorf("%d samples", got)
			}
			if db.wal.Generation() <= 1 {
				t.Errorf("generation %d is given out again", db.wal.Generation())
			}
			writeOne(t, db, 7)
			st, err := db.Status()
			if err != nil || st.WAL.Loss == nil || st.WAL.Loss.Losses != 1 || st.WAL.Loss.ReceivedFrom != "2026-03-10T12:00:00.000Z" {
				t.Errorf("status %+v, %v", st.WAL, err)
			}
			if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP tsdb_wal_accepted_losses_total Losses of log segments that were accepted, in the life of the data directory.
# TYPE tsdb_wal_accepted_losses_total counter
tsdb_wal_accepted_losses_total 1
`), "tsdb_wal_accepted_losses_total"); err != nil {
				t.Error(err)
			}
			if err := db.Close(ctx); err != nil {
				t.Fatal(err)
			}
			db, err = Open(ctx, fs, "data", lossOptions())
			if err != nil {
				t.Fatal(err)
			}
			if got := samplesIn(t, db); got != 7 {
				t.Errorf("%d samples, 7 were written since", got)
			}
			if got := db.manifest.State().Incarnation; got != n {
				t.Errorf("incarnation %+v, accepted as %+v", got, n)
			}
			if err := db.Close(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkedClean(fs vfs.FS) error {
	report, err := doctor.Check(context.Background(), fs, "data")
	if err == nil && len(report.Damage) > 0 {
		err = errors.New(report.Damage[0].File + ": " + report.Damage[0].What)
	}
	return err
}

// Healthy directories open: a copy, one of a program without the list, one whose
// list is older than the last release, one whose disk has no room for the list.
func TestStartIsNotRefusedWhenNothingIsLost(t *testing.T) {
	ctx := context.Background()
	open := func(t *testing.T, fs vfs.FS, want int) {
		t.Helper()
		if err := checkedClean(fs); err != nil {
			t.Error(err)
		}
		db, err := Open(ctx, fs, "data", lossOptions())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(ctx)
		if got := samplesIn(t, db); got != want {
			t.Errorf("%d samples, want %d", got, want)
		}
	}
	t.Run("killed", func(t *testing.T) { open(t, killedDB(t), 100) })
	t.Run("power cut", func(t *testing.T) { open(t, killedDB(t).CrashClone(vfs.CrashOptions{}), 100) })
	t.Run("no list", func(t *testing.T) {
		fs := killedDB(t)
		if err := fs.Remove("data/" + format.SegmentsName); err != nil {
			t.Fatal(err)
		}
		open(t, fs, 100)
	})
	t.Run("no list and no log", func(t *testing.T) {
		fs := killedDB(t)
		if err := fs.Remove("data/" + format.SegmentsName); err != nil {
			t.Fatal(err)
		}
		removeAll(t, fs, "data/wal")
		open(t, fs, 0)
	})
	t.Run("no room for the list", func(t *testing.T) {
		mem := killedDB(t)
		fault := vfs.NewFault(mem)
		fault.SetHook(func(op vfs.Op) error {
			if op.Kind == vfs.OpWrite && strings.Contains(op.Name, format.SegmentsName) {
				return syscall.ENOSPC
			}
			return nil
		})
		opts := lossOptions()
		reg := prometheus.NewRegistry()
		opts.Registerer = reg
		db, err := Open(ctx, fault, "data", opts)
		if err != nil {
			t.Fatal(err)
		}
		writeOne(t, db, 50)
		await.That(t, "the failure is counted", func() bool { return db.wal.List().Failures > 0 })
		if st, err := db.Status(); err != nil || st.WAL.ListError == "" {
			t.Errorf("status %+v, %v", st.WAL, err)
		}
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP tsdb_wal_list_stale 1 while the list of log segments cannot be written, so that a loss of the newest ones would not be noticed.
# TYPE tsdb_wal_list_stale gauge
tsdb_wal_list_stale 1
`), "tsdb_wal_list_stale"); err != nil {
			t.Error(err)
		}
		if _, err := db.Flush(ctx); err != nil { // releases segments that the list still has
			t.Fatal(err)
		}
		killed := mem.Clone()
		_ = db.Close(ctx)
		open(t, killed, 100)
	})
	t.Run("a list from before the last release", func(t *testing.T) {
		fs := killedDB(t)
		if err := fs.Rename("data/"+format.SegmentsName, "data/old"); err != nil {
			t.Fatal(err)
		}
		db, err := Open(ctx, fs, "data", lossOptions())
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(ctx); err != nil { // cuts, and gives the segment up
			t.Fatal(err)
		}
		if err := fs.Rename("data/old", "data/"+format.SegmentsName); err != nil {
			t.Fatal(err)
		}
		removeAll(t, fs, "data/wal") // even with the marks of the release
		open(t, fs, 100)
	})
}

// Stopped at any file operation, the acceptance of a loss has taken place or can
// be repeated with the same token.
func TestPowerCutWhileALossIsAccepted(t *testing.T) {
	ctx := context.Background()
	base := killedDB(t)
	removeAll(t, base, "data/wal")
	base = base.Clone()
	for _, dir := range []string{"", "data", "data/wal", "data/l0", "data/raw"} {
		if err := base.SyncDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	var lost *LogLossError
	if _, err := Open(ctx, base.Clone(), "data", lossOptions()); !errors.As(err, &lost) {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewSource(1))
	states, accepted := 0, 0
	fault := vfs.NewFault(base)
	fault.Count(vfs.MutatingOps)
	fault.SetHook(func(op vfs.Op) error {
		for _, mode := range []vfs.CrashOptions{{}, {Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng}, {Mode: vfs.CrashTorn, Rand: rng}, {Mode: vfs.CrashSectors, Keep: 1, Rand: rng}} {
			fs := base.CrashClone(mode)
			states++
			if _, err := doctor.AcceptLogLoss(ctx, fs, "data", lost.Token, lossOptions().Clock); errors.Is(err, doctor.ErrNoLogLoss) {
				accepted++
			} else if err != nil {
				t.Errorf("power cut (%v) before %v: %v", mode.Mode, op, err)
			}
			db, err := Open(ctx, fs, "data", lossOptions())
			if err != nil {
				t.Errorf("power cut (%v) before %v: %v", mode.Mode, op, err)
				continue
			}
			if db.manifest.State().Incarnation.Losses == 0 {
				t.Errorf("power cut (%v) before %v: accepted without an edit", mode.Mode, op)
			}
			_ = db.Close(ctx)
		}
		return nil
	})
	if _, err := doctor.AcceptLogLoss(ctx, fault, "data", lost.Token, lossOptions().Clock); err != nil {
		t.Fatal(err)
	}
	if states < 40 || accepted == 0 {
		t.Errorf("%d states, %d of them accepted", states, accepted)
	}
}
