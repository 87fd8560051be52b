package storage

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// While space is short a cut that cannot end holds nothing for its mark.
func TestShortageAbandonsTheMarkOfACut(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	w := newPastWorld(t, fault)
	defer abandon(w.db)
	w.write(t, w.db, 2)
	fault.SetHook(func(o vfs.Op) error {
		if strings.HasPrefix(o.Name, "data/l0") && o.Kind == vfs.OpWrite {
			return errors.New("injected")
		}
		return nil
	})
	if _, err := w.db.Flush(t.Context()); err == nil {
		t.Fatal("the cut has not failed")
	}
	if w.db.past.pending.version == nil {
		t.Error("the moment of the cut is not noted")
	}
	w.db.relief.relieve(t.Context())
	if w.db.past.pending.version == nil {
		t.Error("the moment is forgotten, though there is space")
	}
	w.db.space.short.Store(&shortage{free: 1, needed: 2})
	w.db.relief.relieve(t.Context())
	if w.db.past.pending.version != nil {
		t.Error("the moment holds files while space is short")
	}
	fault.SetHook(nil)
	w.db.space.short.Store(nil)
	n := len(w.db.Marks())
	_, err := w.db.Flush(t.Context()) // has no mark
	must(t, err)
	w.write(t, w.db, 2)
	w.cut(t)
	if got := len(w.db.Marks()); got != n+1 {
		t.Errorf("%d marks, want %d", got, n+1)
	}
}

// A mark shows the moment at which log and head were split: neither what is imported while
// the block of the cut is written nor what retention hides meanwhile changes it.
func TestMarkIsOfTheMomentOfTheSplit(t *testing.T) {
	mem := vfs.NewMem()
	doctortest.CheckAtEnd(t, func() vfs.FS { return mem }, "data", nil)
	fault := vfs.NewFault(mem)
	w := newPastWorld(t, fault)
	defer func() { abandon(w.db) }()
	ago := func(days int64) int64 { return w.clock.Now().UnixMilli() - days*model.DayMs }
	add := func(days int64) {
		im := w.db.NewImport(ImportOptions{})
		defer im.Close()
		s := one(ago(days), 1)
		must(t, im.Add(t.Context(), tieredLabels(1), &s))
		r, err := im.Publish(t.Context())
		must(t, err)
		if r.Direct != 1 {
			t.Fatalf("%+v", r)
		}
	}
	for _, days := range []int64{3, 9} {
		add(days)
	}
	w.write(t, w.db, 2)
	meanwhile := 0
	fault.SetHook(func(o vfs.Op) error {
		if strings.HasPrefix(o.Name, "data/l0") && o.Kind == vfs.OpCreate {
			if meanwhile++; meanwhile == 1 {
				add(6)
				must(t, w.db.SetRetention(t.Context(), Retention{RawMs: 8 * model.DayMs}))
			}
		}
		return nil
	})
	m, want := w.cut(t)
	fault.SetHook(nil)
	if meanwhile != 1 {
		t.Fatalf("%d blocks of cuts, want 1", meanwhile)
	}
	if got := samplesAt(t, w.db, m); got != want {
		t.Errorf("the mark shows\n%s\nwant\n%s", got, want)
	}
	if samplesNow(t, w.db) == want {
		t.Error("nothing has changed")
	}
}

// While marks cannot be given up, space comes from elsewhere, and the bound of bytes moves
// floors all the same.
func TestHistoryThatCannotBeGivenUpStopsNothing(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	w := newPastWorld(t, fault)
	defer abandon(w.db)
	for range 2 {
		w.write(t, w.db, 4)
		w.cut(t)
	}
	_, err := w.db.Compact(t.Context())
	must(t, err)
	fault.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpRemove && inHistory(o) {
			return errors.New("injected")
		}
		return nil
	})
	w.db.space.short.Store(&shortage{free: 0, needed: 1 << 50})
	w.db.space.opts.MinFreeBytes = 1 << 50
	if r := w.db.relief.next(t.Context()); r != reliefHistory {
		t.Fatalf("the first step is %v", r)
	}
	w.db.relief.relieve(t.Context())
	if r := w.db.relief.next(t.Context()); r == reliefHistory {
		t.Error("what fails is tried again at once")
	}
	if w.db.jobs.history.Outcome().Failures == 0 || len(w.db.Marks()) == 0 {
		t.Error("the failure is not counted")
	}
	must(t, w.db.SetRetention(t.Context(), Retention{MaxBytes: 1}))
	fault.SetHook(nil)
	w.clock.Advance(time.Hour)
	w.db.relief.relieve(t.Context())
	if n := w.db.past.heldBytes(); n != 0 || len(w.db.Marks()) > 0 {
		t.Errorf("in the end %d bytes", n)
	}
}

// A pinned block that a crash has left in its place, and that the next start cannot rename,
// stays there, serves its marks, and is renamed by a later sweep.
func TestPinnedLeftoverIsRenamedLater(t *testing.T) {
	mem := vfs.NewMem()
	doctortest.CheckAtEnd(t, func() vfs.FS { return mem }, "data", nil)
	w := newPastWorld(t, mem)
	w.write(t, w.db, 4)
	m1, want1 := w.cut(t)
	w.write(t, w.db, 4)
	m2, want2 := w.cut(t)
	old := w.db.manifest.State().RawBlocks()
	v, err := w.db.View() // keeps the files where they are
	must(t, err)
	_, err = w.db.Compact(t.Context())
	must(t, err)
	after := mem.Clone()
	v.Release()
	abandon(w.db)
	mem = after
	fault := vfs.NewFault(mem)
	fault.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpRename && inHistory(o) && strings.HasSuffix(o.To, format.BlockSuffix) {
			return errors.New("injected")
		}
		return nil
	})
	w.db = w.open(t, fault, "data")
	t.Cleanup(func() { must(t, w.db.Close(t.Context())) })
	there := func() (n int) {
		for _, b := range old {
			if _, err := mem.Stat(path.Join("data", b.Name)); err == nil {
				n++
			}
			if n > 0 && !w.db.set.Taken(b.Name) {
				t.Errorf("%s may be written again", b.Name)
			}
		}
		return n
	}
	for range 2 {
		if n := there(); n != len(old) || n == 0 {
			t.Fatalf("%d of %d blocks are in their place", n, len(old))
		}
		if samplesAt(t, w.db, m1) != want1 || samplesAt(t, w.db, m2) != want2 {
			t.Error("the marks show something else")
		}
		w.db.Sweep(t.Context())
	}
	fault.SetHook(nil)
	w.db.Sweep(t.Context())
	if n := there(); n != 0 || w.db.historyStatus().Blocks != len(old) {
		t.Errorf("%d blocks are in their place, history has %d", n, w.db.historyStatus().Blocks)
	}
	if samplesAt(t, w.db, m1) != want1 || samplesAt(t, w.db, m2) != want2 {
		t.Error("the marks show something else")
	}
	if n := w.db.manifest.State().Dropped; len(n) > 0 {
		t.Errorf("the MANIFEST still knows %v", n)
	}
}

// Readers of marks beside cuts, merges, purges and marks that are given up: each answer is
// that of its mark, or an error that says that the mark has left.
func TestMarksAreReadBesideTheWork(t *testing.T) {
	w := newPastWorld(t, vfs.NewMem())
	defer func() { must(t, w.db.Close(t.Context())) }()
	var mu sync.Mutex
	want := map[Mark]string{}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	read := func() error {
		for _, m := range w.db.Marks() {
			mu.Lock()
			s, known := want[m]
			mu.Unlock()
			if !known {
				continue
			}
			v, err := w.db.At(m).View()
			if errors.Is(err, ErrMarkGone) || errors.Is(err, ErrBusy) {
				continue
			} else if err != nil {
				return err
			}
			got, err := countInView(t.Context(), v)
			v.Release()
			if err != nil {
				return err
			}
			if fmt.Sprint(got) != s {
				return fmt.Errorf("mark %d has %d samples, want %s", m.Number, got, s)
			}
		}
		return nil
	}
	failed := make(chan error, 3)
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := read(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for i := range 30 {
		w.write(t, w.db, 2)
		v, err := w.db.View()
		must(t, err)
		n, err := countInView(t.Context(), v)
		must(t, err)
		v.Release()
		m, _ := w.cut(t)
		mu.Lock()
		want[m] = fmt.Sprint(n)
		mu.Unlock()
		if i%5 == 4 {
			_, err := w.db.Compact(t.Context())
			must(t, err)
		}
		if i%10 == 9 {
			must(t, w.db.GiveUpHistory(t.Context()))
		}
	}
	close(stop)
	readers.Wait()
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
	must(t, read())
}

func countInView(ctx context.Context, v *View) (n int, err error) {
	set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*"))
	if err != nil {
		return 0, err
	}
	for i := range set.Len() {
		var s model.Samples
		if err := set.At(i).Samples(ctx, model.AllTime, &s); err != nil {
			return 0, err
		}
		n += s.Len()
	}
	return n, errors.Join(set.Warnings()...)
}
