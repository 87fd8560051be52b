package storage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/storage"
)

// pastWorld is a life (TestLife) with a history. Strategy: the operations of lives, with
// what the model held at each mark kept beside. Invariants: every mark younger than the
// history is kept is there, after crashes too; whatever was written, deleted, merged, rolled
// up and dropped since, it shows the samples, exemplars and floor of its moment and answers
// queries as the model of then, less what was purged since; no file of a mark is left once it has gone.
type pastWorld struct {
	*lifeWorld
	r        *rand.Rand
	marks    map[storage.Mark]pastMoment
	answered int

	bounded bool // by bytes: marks may be given up, which givenUp counts
	givenUp int
}

// pastMoment is what a mark must show.
type pastMoment struct {
	model  *lifeModel
	floors *lifeFloors
}

const pastKeep = 4 * 24 * time.Hour

func TestMarksAnswerAsThen(t *testing.T) {
	answered, verified, _ := pastLives(t, 12, 3, 0)
	if !testing.Short() && (answered < 100 || verified < 30) {
		t.Error("little happened")
	}
}

// With a bound of bytes history is given up before samples leave earlier. Marks that are there
// answer as the others do.
func TestMarksAnswerAsThenWithABoundOfBytes(t *testing.T) {
	answered := 0
	givenUp := 0
	for _, maxKiB := range []int64{60, 150} {
		a, _, gone := pastLives(t, 4, 1, maxKiB)
		answered, givenUp = answered+a, givenUp+gone
	}
	if !testing.Short() && (answered < 20 || givenUp < 5) {
		t.Errorf("%d answers, %d marks given up: little happened", answered, givenUp)
	}
}

// pastLives runs lives, few with -short, with a bound of bytes (0 = none), and returns the answers of marks, the marks
// at the end, and those that were given up.
func pastLives(t *testing.T, lives, few uint64, maxKiB int64) (answered, verified, givenUp int) {
	if testing.Short() {
		lives = few
	}
	for seed := range lives {
		o, ops := generateLife(seed, 1200)
		o.maxKiB = maxKiB
		for i := range ops {
			ops[i].options.maxKiB = maxKiB
		}
		w := &pastWorld{
			lifeWorld: &lifeWorld{
				ctx: context.Background(), fs: vfs.NewMem(), dir: "data", clock: vfs.NewManualClock(lifeEpoch), o: o,
				model: &lifeModel{}, floors: newLifeFloors(), archive: newLifeArchive(), engine: newLifeEngine(), counts: &lifeCounts{}, historyKeep: pastKeep,
			},
			r: rand.New(rand.NewPCG(seed, 2)), marks: map[storage.Mark]pastMoment{}, bounded: maxKiB > 0,
		}
		n, err := w.live(ops)
		w.engine.Close()
		if err != nil {
			t.Fatalf("seed %d, operation %d of %v: %v", seed, n, o, err)
		}
		answered, verified, givenUp = answered+w.answered, verified+len(w.marks), givenUp+w.givenUp
	}
	t.Logf("%d lives: %d marks at the end, %d answers of marks, %d given up", lives, verified, answered, givenUp)
	return answered, verified, givenUp
}

func (w *pastWorld) live(ops []lifeOp) (int, error) {
	if err := w.open(); err != nil {
		return 0, err
	}
	defer func() {
		if w.db != nil {
			w.db.CloseUncut()
		}
	}()
	for i, op := range ops {
		if err := w.step(op); err != nil {
			return i, fmt.Errorf("%v: %w", op, err)
		}
	}
	if err := w.verify(len(w.marks)); err != nil {
		return len(ops), err
	}
	return len(ops), w.finish()
}

// step does an operation and notes the marks that it takes: all of them have the state
// before it.
func (w *pastWorld) step(op lifeOp) error {
	before := pastMoment{w.model.clone(), w.floors.clone()}
	dir, fs, last := w.dir, w.fs, uint64(0)
	if ms := w.db.Marks(); len(ms) > 0 {
		last = ms[len(ms)-1].Number
	}
	if w.purge = op.kind == opDelete && w.r.IntN(3) == 0; w.purge {
		for _, then := range w.marks {
			for _, s := range op.sets {
				then.model.remove([][]*labels.Matcher{matchers(s)}, op.tr)
			}
		}
	}
	if err := w.do(op); err != nil {
		return err
	}
	if w.dir != dir || w.fs != fs && op.kind != opRestart { // a snapshot or a restored directory has no history
		clear(w.marks)
		if n := len(w.db.Marks()); n > 0 {
			return fmt.Errorf("a snapshot has %d marks", n)
		}
		return nil
	}
	if op.kind == opSweep {
		w.db.TidyHistory(w.ctx)
		if w.r.IntN(8) == 0 {
			if err := w.db.GiveUpHistory(w.ctx); err != nil {
				return err
			}
			w.forgetGone()
		}
	}
	for _, m := range w.db.Marks() {
		if m.Number > last && op.kind != opImport { // it may lie between two edits of the import
			w.marks[m] = before
		}
	}
	if op.kind == opRestart || op.kind == opSweep {
		if err := w.present(); err != nil {
			return err
		}
	}
	switch op.kind {
	case opSelect:
		return w.verify(1)
	case opAsk:
		return w.askPast(op.question)
	default:
		return nil
	}
}

// present checks that the marks are there that have to be, and forgets those that have
// left. A mark answers until the next one.
func (w *pastWorld) present() error {
	marks := w.db.Marks()
	for m := range w.marks {
		switch young := m.WallMs >= w.now()-pastKeep.Milliseconds(); {
		case slices.Contains(marks, m) || !young:
		case w.bounded:
			w.givenUp++
		default:
			return fmt.Errorf("mark %d of %s has left", m.Number, lifeTime(m.WallMs))
		}
	}
	w.forgetGone()
	return nil
}

func (w *pastWorld) forgetGone() {
	marks := w.db.Marks()
	for m := range w.marks {
		if !slices.Contains(marks, m) {
			delete(w.marks, m)
		}
	}
}

// some returns a mark at random.
func (w *pastWorld) some() (storage.Mark, bool) {
	var list []storage.Mark
	for _, m := range w.db.Marks() {
		if _, known := w.marks[m]; known {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return storage.Mark{}, false
	}
	return list[w.r.IntN(len(list))], true
}

// verify compares n marks with their moments.
func (w *pastWorld) verify(n int) error {
	for range n {
		m, ok := w.some()
		if !ok {
			return nil
		}
		if err := w.compareMark(m); err != nil {
			return fmt.Errorf("mark %d of %s: %w", m.Number, lifeTime(m.WallMs), err)
		}
	}
	return nil
}

func (w *pastWorld) compareMark(m storage.Mark) error {
	then := w.marks[m]
	v, err := w.db.At(m).View()
	if err != nil {
		return err
	}
	defer v.Release()
	if err := seenFloors(v).equal(then.floors); err != nil {
		return err
	}
	return errors.Join(
		compareSelected(w.lifeWorld, v, then.model, then.floors, `{__name__=~".+"}`, model.AllTime),
		compareExemplars(w.lifeWorld, v, then.model, then.floors))
}

// askPast asks a query at a mark.
func (w *pastWorld) askPast(q lifeQuestion) error {
	m, ok := w.some()
	if !ok {
		return nil
	}
	then := *w.lifeWorld
	then.model, then.floors, then.queryable = w.marks[m].model, w.marks[m].floors, query.NewQueryable(w.db.At(m), model.DefaultTenant)
	if then.mayHaveExpired(q) {
		return nil
	}
	w.answered++
	if err := then.askKept(q); err != nil {
		return fmt.Errorf("at mark %d of %s: %w", m.Number, lifeTime(m.WallMs), err)
	}
	return nil
}
