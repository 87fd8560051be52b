package transfer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// fakeSource has units of series with one sample each; a sample's time is its number
// in all units.
type fakeSource struct {
	units, series int
	first         int64
	unknown       bool // the plan does not tell the times
	stopAt        int  // items after which Read fails; 0 = never
	bad           bool // every tenth series has no name
	read          int
}

var errStopped = errors.New("stopped")

func (s *fakeSource) Plan(context.Context) (*Plan, error) {
	p := &Plan{Min: s.first, Max: s.first + int64(s.units*s.series)}
	if s.unknown {
		p.Min, p.Max = 1, 0
	}
	for i := range s.units {
		p.Units = append(p.Units, Unit{ID: fmt.Sprint("unit", i), Name: fmt.Sprint("unit ", i), Size: int64(s.series)})
	}
	return p, nil
}

func (s *fakeSource) Read(_ context.Context, u Unit, from int64, emit Emit) error {
	var unit int64
	fmt.Sscanf(u.ID, "unit%d", &unit)
	for i := from; i < int64(s.series); i++ {
		if s.read++; s.stopAt > 0 && s.read > s.stopAt {
			return errStopped
		}
		var samples model.Samples
		samples.Append(s.first+unit*int64(s.series)+i, 0, float64(i), model.Histogram{})
		ls := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))
		if s.bad && i%10 == 0 {
			ls = labels.FromStrings("i", fmt.Sprint(i))
		}
		if err := emit(i+1, &Item{Labels: ls, Samples: &samples}); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeSource) Close() error { return nil }

// fakeTarget counts how often each sample was published.
type fakeTarget struct {
	oldest    int64
	published map[int64]int
	run       []int64
	perRun    int
}

func (d *fakeTarget) Bounds(context.Context) (Bounds, error) {
	return Bounds{Oldest: d.oldest, Newest: math.MaxInt64, Setting: "--a.setting"}, nil
}

func (d *fakeTarget) Add(_ context.Context, item *Item) error {
	d.run = append(d.run, item.Samples.T...)
	return nil
}

func (d *fakeTarget) Full() bool { return len(d.run) >= d.perRun }

func (d *fakeTarget) Publish(context.Context) (Receipt, error) {
	for _, t := range d.run {
		d.published[t]++
	}
	n := len(d.run)
	d.run = d.run[:0]
	return Receipt{Samples: int64(n)}, nil
}

func (d *fakeTarget) Close() error { return nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Wherever a transfer stops, the next one goes on behind the last run, and all samples
// are published once.
func TestTransferGoesOnWhereItStopped(t *testing.T) {
	for stop := 1; stop < 50; stop++ {
		name := filepath.Join(t.TempDir(), "state.json")
		dst := &fakeTarget{published: map[int64]int{}, perRun: 7}
		for _, src := range []*fakeSource{{units: 5, series: 10, stopAt: stop}, {units: 5, series: 10}} {
			state, err := OpenState(name, "a to b")
			must(t, err)
			dst.run = nil
			if _, err := Run(t.Context(), src, dst, Options{State: state}); err != nil && !errors.Is(err, errStopped) {
				t.Fatal(err)
			}
		}
		for i := range int64(50) {
			if dst.published[i] != 1 {
				t.Fatalf("stopped after %d: sample %d was published %d times", stop, i, dst.published[i])
			}
		}
		state, err := OpenState(name, "a to b")
		must(t, err)
		sum, err := Run(t.Context(), &fakeSource{units: 5, series: 10}, dst, Options{State: state})
		must(t, err)
		if sum.Skipped != 5 || sum.Read != 0 {
			t.Fatalf("again: %+v", sum)
		}
		if _, err := OpenState(name, "a to c"); err == nil {
			t.Fatal("the state of another transfer was taken")
		}
	}
}

func TestTransferRefusesOldSamplesBeforeItStarts(t *testing.T) {
	for _, unknown := range []bool{false, true} {
		dst := &fakeTarget{published: map[int64]int{}, perRun: 7, oldest: 100}
		src := &fakeSource{units: 2, series: 10, first: 95, unknown: unknown}
		_, err := Run(t.Context(), src, dst, Options{})
		if !errors.Is(err, ErrTooOld) || !strings.Contains(err.Error(), "--a.setting") || len(dst.published)+len(dst.run) > 0 {
			t.Errorf("%v, %d published", err, len(dst.published))
		}
		if sum, err := Run(t.Context(), src, dst, Options{DryRun: true}); err != nil || sum.Samples != 15 || sum.Refused() != 5 || len(dst.published) > 0 {
			t.Errorf("dry run: %+v, %v", sum, err)
		}
		if _, err := Run(t.Context(), src, dst, Options{SkipOld: true}); err != nil || len(dst.published) != 20 {
			t.Errorf("with old samples left to the target: %v", err)
		}
	}
}

func TestTransferIntoDatabase(t *testing.T) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := storage.Open(t.Context(), vfs.NewMem(), "data", storage.Options{Clock: clock, Seed: 1})
	must(t, err)
	defer db.Close(context.Background())
	dst := NewDB(db, model.DefaultTenant, 0)
	src := &fakeSource{units: 3, series: 100, first: clock.Now().UnixMilli() - 3*model.DayMs, bad: true}
	sum, err := Run(t.Context(), src, dst, Options{})
	must(t, err)
	must(t, dst.Close())
	if sum.Samples != 270 || sum.Refused() != 30 || len(sum.Rejected) != 1 || sum.Rejected[0].Reason != "no_name" {
		t.Errorf("%+v", sum)
	}
	v, err := db.View()
	must(t, err)
	defer v.Release()
	set, err := v.Select(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(t, err)
	if set.Len() != 90 {
		t.Errorf("%d series", set.Len())
	}
}

func TestLabelsAreJudgedAsAtTheDoors(t *testing.T) {
	for reason, ls := range map[storage.Reason]labels.Labels{
		"":                           labels.FromStrings("__name__", "m", "a", "b"),
		storage.ReasonNoName:         labels.FromStrings("a", "b"),
		storage.ReasonInvalidUTF8:    labels.FromStrings("__name__", "m", "a", "\xff"),
		storage.ReasonLimit:          labels.FromStrings("__name__", "m", "a", strings.Repeat("x", maxValueBytes+1)),
		storage.ReasonDuplicateLabel: labels.New(labels.Label{Name: "__name__", Value: "m"}, labels.Label{Name: "a", Value: "b"}, labels.Label{Name: "a", Value: "c"}),
	} {
		if got, _ := CheckLabels(ls); got != reason {
			t.Errorf("%s: %q, want %q", clip(ls.String()), got, reason)
		}
	}
}
