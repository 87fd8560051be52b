package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/storage"
	"tsdb/storage/doctor"
)

// fakeSource has units of series with one sample each; a sample's time is its number
// in all units.
type fakeSource struct {
	units, series int
	first         int64
	unknown       bool // the plan does not tell the times
	bounded       bool // units tell theirs
	stopAt        int  // items after which Read fails; 0 = never
	bad           bool // every tenth series has no name
	bits          bool // values are NaNs with payloads, which only bits tell apart
	read          int
}

var errStopped = errors.New("stopped")

func (s *fakeSource) Plan(context.Context) (*Plan, error) {
	p := &Plan{Min: s.first, Max: s.first + int64(s.units*s.series)}
	if s.unknown {
		p.Min, p.Max = 1, 0
	}
	for i := range s.units {
		u := Unit{ID: fmt.Sprint("unit", i), Name: fmt.Sprint("unit ", i), Size: int64(s.series)}
		if s.bounded {
			u.Min = s.first + int64(i*s.series)
			u.Max = u.Min + int64(s.series) - 1
		}
		p.Units = append(p.Units, u)
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
		v := float64(i)
		if s.bits {
			v = math.Float64frombits(0x7ff8_0000_0000_0000 | uint64(unit)<<16 | uint64(i))
		}
		samples.Append(s.first+unit*int64(s.series)+i, 0, v, model.Histogram{})
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
	lists     [][]Limit
	published map[int64]int
	run       []int64
	perRun    int
}

func (d *fakeTarget) Bounds(context.Context) (Bounds, error) {
	return Bounds{Oldest: d.oldest, Newest: math.MaxInt64, Setting: "--a.setting", Lists: d.lists}, nil
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

// Where rules differ, samples are judged by the rule of their series: nothing is imported
// if one of them is too old, and the refusal and the dry run count them by rule. Units
// that cannot have such samples are not read for it.
func TestTransferRefusesOldSamplesByRule(t *testing.T) {
	only := func(i int) [][]Matcher { return [][]Matcher{{{"=", "i", fmt.Sprint(i)}}} }
	for _, unknown := range []bool{false, true} {
		// Times are 95 to 114; series 3 has 98 and 108, series 7 has 102 and 112.
		dst := &fakeTarget{published: map[int64]int{}, perRun: 7, oldest: 110}
		dst.lists = [][]Limit{{{Selectors: only(3), Oldest: 110, Rule: `{i="3"}`}, {Selectors: only(7), Oldest: 50, Rule: `{i="7"}`}, {Oldest: 97}}}
		src := &fakeSource{units: 2, series: 10, first: 95, unknown: unknown}
		_, err := Run(t.Context(), src, dst, Options{})
		if !errors.Is(err, ErrTooOld) || len(dst.published)+len(dst.run) > 0 ||
			!strings.Contains(err.Error(), `2 before 1970-01-01T00:00:00.110Z (the retention rule {i="3"}), the first of 1970-01-01T00:00:00.098Z`) ||
			!strings.Contains(err.Error(), `2 before 1970-01-01T00:00:00.097Z (--retention.raw), the first of 1970-01-01T00:00:00.095Z`) {
			t.Errorf("%v, %d published", err, len(dst.published))
		}
		sum, err := Run(t.Context(), src, dst, Options{DryRun: true})
		if err != nil || sum.Samples != 16 || len(sum.Rejected) != 2 || sum.Rejected[0].Count != 2 || sum.Rejected[1].Count != 2 || sum.Rejected[1].Rule != `{i="3"}` {
			t.Errorf("dry run: %+v, %v", sum, err)
		}
		// Another list, of an earlier configuration, counts where it is newer.
		dst.lists = [][]Limit{{{Oldest: 50}}, {{Selectors: only(7), Oldest: 104, Rule: "old"}, {Oldest: 50}}}
		if _, err := Run(t.Context(), src, dst, Options{}); !errors.Is(err, ErrTooOld) || !strings.Contains(err.Error(), "1 before 1970-01-01T00:00:00.104Z (the retention rule old)") {
			t.Errorf("with two lists: %v", err)
		}
		dst.lists = [][]Limit{{{Selectors: only(3), Oldest: 98}, {Oldest: 50}}}
		if _, err := Run(t.Context(), src, dst, Options{}); err != nil || len(dst.published) != 20 {
			t.Errorf("nothing is too old: %v, %d published", err, len(dst.published))
		}
	}
	dst := &fakeTarget{published: map[int64]int{}, oldest: 105, lists: [][]Limit{{{Oldest: 105}}}}
	src := &fakeSource{units: 5, series: 10, first: 100, bounded: true}
	if _, err := Run(t.Context(), src, dst, Options{}); !errors.Is(err, ErrTooOld) || src.read != 10 {
		t.Errorf("%v, %d series were read of the one unit that may be too old", err, src.read)
	}
	dst.lists = [][]Limit{{{Selectors: [][]Matcher{{{"~", "a", "b"}}}}}}
	if _, err := Run(t.Context(), src, dst, Options{}); err == nil || !strings.Contains(err.Error(), "unknown type") {
		t.Errorf("%v", err)
	}
}

// An import obeys the rules of a database one by one, and those it is told to keep.
func TestDatabaseTellsItsRules(t *testing.T) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	rule := storage.RetentionRule{
		Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchRegexp, "i", "3|4")}},
		Keep:      map[block.Tier]int64{block.Raw: model.DayMs},
	}
	db, err := storage.Open(t.Context(), doctortest.NewMem(t), "data", storage.Options{Clock: clock, Seed: 1, RetentionMs: 30 * model.DayMs, RetentionRules: []storage.RetentionRule{rule}})
	must(t, err)
	defer db.Close(context.Background())
	src := func() *fakeSource {
		return &fakeSource{units: 2, series: 10, first: clock.Now().UnixMilli() - 3*model.DayMs}
	}
	for _, keep := range []bool{false, true} {
		dst := NewDB(db, model.DefaultTenant, 0)
		want, total := 4, int64(16)
		if keep {
			must(t, dst.Keep(storage.Retention{}))
			want, total = 0, 20
		}
		b, err := dst.Bounds(t.Context())
		must(t, err)
		text, err := json.Marshal(b)
		must(t, err)
		var sent Bounds
		must(t, json.Unmarshal(text, &sent))
		must(t, sent.compile())
		if _, rule := sent.limitOf(labels.FromStrings("__name__", "m", "i", "3")); (rule == `{i=~"3|4"}`) == keep {
			t.Errorf("rule %q in %s", rule, text)
		}
		_, err = Run(t.Context(), src(), dst, Options{})
		if errors.Is(err, ErrTooOld) == keep {
			t.Errorf("keep=%v: %v", keep, err)
		}
		sum, err := Run(t.Context(), src(), dst, Options{SkipOld: true})
		must(t, err)
		if sum.Samples != total || sum.Refused() != int64(want) {
			t.Errorf("keep=%v: %+v", keep, sum)
		}
		if want > 0 && !strings.Contains(sum.Rejected[0].Detail, `retention of the rule {i=~"3|4"}`) {
			t.Errorf("%+v", sum.Rejected)
		}
		must(t, dst.Close())
	}
}

func TestTransferIntoDatabase(t *testing.T) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := storage.Open(t.Context(), doctortest.NewMem(t), "data", storage.Options{Clock: clock, Seed: 1})
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

// crashTarget publishes runs of a few items, and calls published before the position of a run
// is recorded.
type crashTarget struct {
	*DB
	perRun, items int
	published     func()
}

func (d *crashTarget) Add(ctx context.Context, item *Item) error {
	d.items++
	return d.DB.Add(ctx, item)
}

func (d *crashTarget) Full() bool { return d.items >= d.perRun }

func (d *crashTarget) Publish(ctx context.Context) (Receipt, error) {
	r, err := d.DB.Publish(ctx)
	if d.items = 0; d.published != nil {
		d.published()
	}
	return r, err
}

// After a power cut between the publication of a run and the record of how far the import
// is, that run is imported again. The database then has every sample once, bit for bit,
// whichever run it was; also if a server has written to other series meanwhile.
func TestRepeatedImportAfterPowerCutBeforeItsRecord(t *testing.T) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	options := storage.Options{Clock: clock, Seed: 1, CacheBytes: -1, WALSegmentBytes: 64 << 10, ReserveBytes: 4 << 10}
	source := func() *fakeSource {
		return &fakeSource{units: 3, series: 40, first: clock.Now().UnixMilli() - model.DayMs - 60, bits: true} // across midnight too
	}
	open := func(mem *vfs.Mem) *storage.DB {
		doctortest.Opened(t, mem, "data")
		db, err := storage.Open(t.Context(), mem, "data", options)
		must(t, err)
		return db
	}
	type moment struct {
		mem   *vfs.Mem
		state []byte // nil = there is no file
	}
	var moments []moment
	name := filepath.Join(t.TempDir(), "state.json")
	mem := vfs.NewMem()
	db := open(mem)
	dst := &crashTarget{DB: NewDB(db, model.DefaultTenant, 0), perRun: 17}
	dst.published = func() {
		state, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		moments = append(moments, moment{mem.CrashClone(vfs.CrashOptions{Mode: vfs.CrashLose}), state})
	}
	state, err := OpenState(name, "a to b")
	must(t, err)
	_, err = Run(t.Context(), source(), dst, Options{State: state})
	must(t, err)
	must(t, errors.Join(dst.Close(), db.Close(context.Background())))
	if len(moments) < 7 {
		t.Fatalf("%d runs", len(moments))
	}
	for n, m := range moments {
		name := filepath.Join(t.TempDir(), "state.json")
		if m.state != nil {
			must(t, os.WriteFile(name, m.state, 0o600))
		}
		db := open(m.mem)
		if n%2 == 1 { // a server between the two attempts
			b := db.NewBatch("test", model.DefaultTenant)
			ref, err := b.Resolve(model.Hash{Lo: 1}, labels.FromStrings("__name__", "other"))
			must(t, err)
			b.Float(ref, clock.Now().UnixMilli(), 0, 1)
			_, err = b.Commit(t.Context())
			must(t, err)
			_, err = db.Compact(t.Context())
			must(t, err)
		}
		state, err := OpenState(name, "a to b")
		must(t, err)
		dst := &crashTarget{DB: NewDB(db, model.DefaultTenant, 0), perRun: 17}
		sum, err := Run(t.Context(), source(), dst, Options{State: state})
		must(t, err)
		if want := int64(120 - 17*n); sum.Read != want {
			t.Errorf("cut after run %d: %d samples were read again, want %d", n+1, sum.Read, want)
		}
		for _, when := range []string{"", ", merged"} {
			wantFake(t, fmt.Sprintf("cut after run %d%s", n+1, when), db, source())
			_, err = db.Compact(t.Context())
			must(t, err)
		}
		must(t, errors.Join(dst.Close(), db.Close(context.Background())))
		report, err := doctor.Check(t.Context(), m.mem, "data")
		must(t, err)
		if len(report.Damage) > 0 {
			t.Errorf("cut after run %d: check: %+v", n+1, report.Damage)
		}
	}
}

// wantFake compares the samples of a database with those of a source.
func wantFake(t *testing.T, when string, db *storage.DB, src *fakeSource) {
	t.Helper()
	want := map[string]uint64{}
	plan, err := src.Plan(t.Context())
	must(t, err)
	for _, u := range plan.Units {
		must(t, src.Read(t.Context(), u, 0, func(_ int64, item *Item) error {
			for i, at := range item.Samples.T {
				want[fmt.Sprint(item.Labels, at)] = math.Float64bits(item.Samples.V[i])
			}
			return nil
		}))
	}
	v, err := db.View()
	must(t, err)
	defer v.Release()
	set, err := v.Select(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(t, err)
	n := 0
	for i := range set.Len() {
		var s model.Samples
		must(t, set.At(i).Samples(t.Context(), model.AllTime, &s))
		for k, at := range s.T {
			n++
			if got, ok := want[fmt.Sprint(set.At(i).Labels, at)]; !ok || got != math.Float64bits(s.V[k]) {
				t.Fatalf("%s: %v at %d: %016x, want %016x", when, set.At(i).Labels, at, math.Float64bits(s.V[k]), got)
			}
		}
	}
	if n != len(want) {
		t.Errorf("%s: %d samples, want %d", when, n, len(want))
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
