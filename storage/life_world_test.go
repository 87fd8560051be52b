package storage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
	"tsdb/storage/doctor"
)

// lifeWorld is a database and its model.
type lifeWorld struct {
	ctx    context.Context
	fs     *vfs.Mem
	dir    string
	clock  *vfs.ManualClock
	o      lifeOptions
	db     *storage.DB
	model  *lifeModel
	floors *lifeFloors // when last seen

	historyKeep time.Duration
	purge       bool // deletions purge

	hadRollups, hadRules bool // at some time

	engine    *lifeEngine
	queryable *query.Queryable
	snapshots []lifeSnapshot // oldest first
	archive   *lifeArchive
	counts    *lifeCounts
}

// lifeSnapshot is a snapshot and what it holds.
type lifeSnapshot struct {
	name   string
	model  *lifeModel
	floors *lifeFloors
}

// lifeCounts counts what happened in all lives, to see that they are not idle.
type lifeCounts struct {
	samples, refused, deleted, merges, rolls, snapshots, restores, restarts, expired, answers int64

	backups, moments, restoredMoments, reloads, sizeExpired, oldAnswers, sixAnswers, oldDoubts, cached int64
}

// runLife runs operations against a database and its model, and returns the first
// difference.
func runLife(o lifeOptions, ops []lifeOp, counts *lifeCounts) (at int, err error) {
	w := &lifeWorld{ctx: context.Background(), fs: vfs.NewMem(), dir: "data", clock: vfs.NewManualClock(lifeEpoch), o: o, model: &lifeModel{}, floors: newLifeFloors(), archive: newLifeArchive(), engine: newLifeEngine(), counts: counts}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil && w.db != nil {
			w.db.CloseUncut()
		}
	}()
	defer func() {
		counts.cached += w.engine.cached()
		w.engine.Close()
	}()
	if err := w.open(); err != nil {
		return 0, err
	}
	for i, op := range ops {
		if err := w.do(op); err != nil {
			return i, fmt.Errorf("%v: %w", op, err)
		}
	}
	return len(ops), w.finish()
}

// finish compares everything once more and checks the files.
func (w *lifeWorld) finish() error {
	if err := w.readAll(); err != nil {
		return err
	}
	if err := w.compareNames(); err != nil {
		return err
	}
	err := w.db.Close(w.ctx)
	w.db = nil
	if err != nil {
		return err
	}
	return w.check(w.dir)
}

func (w *lifeWorld) check(dir string) error {
	report, err := doctor.Check(w.ctx, w.fs, dir)
	if err != nil {
		return err
	}
	if len(report.Damage) > 0 {
		return fmt.Errorf("check of %s: %d findings, the first: %+v", dir, len(report.Damage), report.Damage[0])
	}
	return nil
}

func (w *lifeWorld) openDir(dir string) (*storage.DB, error) {
	o := w.o.storage()
	o.Clock, o.HistoryKeep = w.clock, w.historyKeep
	return storage.Open(w.ctx, w.fs, dir, o)
}

func (w *lifeWorld) open() (err error) {
	w.hadRollups, w.hadRules = w.hadRollups || w.o.rollups(), w.hadRules || len(w.o.rules) > 0
	if w.db, err = w.openDir(w.dir); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if q := w.db.Quarantined(); len(q) > 0 {
		return fmt.Errorf("quarantined: %w", q[0])
	}
	w.queryable = query.NewQueryable(w.db, model.DefaultTenant)
	return nil
}

func (w *lifeWorld) now() int64 { return w.clock.Now().UnixMilli() }

func (w *lifeWorld) do(o lifeOp) error {
	ctx := w.ctx
	switch o.kind {
	case opWrite:
		return w.write(o.bursts)
	case opImport:
		return w.importBursts(o.bursts)
	case opDelete:
		return w.delete(o)
	case opAdvance:
		w.clock.Advance(o.by)
		w.archive.tick(w.now())
		return nil
	case opFlush:
		_, err := w.db.Flush(ctx)
		return err
	case opWatch:
		w.db.WatchStep(ctx)
		return w.db.Health()
	case opMerge:
		return w.steps(o.n, &w.counts.merges, func() (bool, error) { return w.db.MergeStep(ctx, o.flag) })
	case opRoll:
		if !w.o.rollups() {
			return nil
		}
		if err := w.steps(o.n, &w.counts.rolls, func() (bool, error) { return w.db.RollStep(ctx, o.flag) }); err != nil {
			return err
		}
		return w.seeFloors(settledNone) // it may have waited for this
	case opCompact:
		if _, err := w.db.Compact(ctx); err != nil {
			return err
		}
		return w.seeFloors(settledAll)
	case opRetain:
		if err := w.db.Retain(ctx); err != nil {
			return err
		}
		return w.seeFloors(w.retained())
	case opReload:
		return w.reload(o.options)
	case opClean:
		if _, err := w.db.CleanTombstones(ctx); err != nil {
			return err
		}
		return w.seeFloors(settledNone) // as after steps of rollups
	case opSweep:
		w.db.Sweep(ctx)
		return nil
	case opSnapshot, opOpenSnapshot, opRemoveSnapshot, opRestore:
		return w.snapshotOp(o)
	case opBackup:
		return w.backup()
	case opMoment:
		return w.remember()
	case opRestoreBackup:
		return w.restoreBackup(o)
	case opRestart:
		return w.restart(o)
	case opReadAll:
		return w.readAll()
	case opSelect:
		return w.compareSelect(o.sets[0], o.tr)
	case opLabels:
		return w.compareNames()
	case opAsk:
		return w.ask(o.question)
	}
	return fmt.Errorf("BUG: unknown operation %d", o.kind)
}

func (w *lifeWorld) steps(n int, count *int64, step func() (bool, error)) error {
	for range n {
		worked, err := step()
		if err != nil || !worked {
			return err
		}
		*count++
	}
	return nil
}

// retained says which floors a step of retention has settled.
func (w *lifeWorld) retained() settlement {
	if w.hadRollups {
		return settledTiers
	}
	return settledAll
}

// reload replaces the retention while the database runs.
func (w *lifeWorld) reload(others lifeOptions) error {
	o := w.o.reloaded(others)
	if err := w.db.SetRetention(w.ctx, o.policy()); err != nil {
		return err
	}
	w.o, w.hadRules = o, w.hadRules || len(o.rules) > 0
	w.counts.reloads++
	return w.seeFloors(w.retained())
}

// bounds returns the times of samples of a series that are taken, both inclusive.
func (w *lifeWorld) bounds(series int) (lo, hi int64) {
	lo = w.floors.raw(series)
	if days := w.o.keep(block.Raw, series); days > 0 {
		lo = max(lo, w.now()-int64(days)*model.DayMs)
	}
	return lo, w.now() + int64(w.o.futureHours)*model.HourMs
}

// taken returns the samples of a burst that are taken.
func (w *lifeWorld) taken(b burst) (s model.Samples) {
	all := b.samples()
	lo, hi := w.bounds(b.series)
	s.AppendRange(&all, all.Search(lo), max(all.Search(lo), all.Search(hi+1)))
	return s
}

func (w *lifeWorld) write(bursts []burst) error {
	var seen [lifeSeries]bool
	bursts = slices.DeleteFunc(slices.Clone(bursts), func(b burst) bool {
		again := seen[b.series]
		seen[b.series] = true
		return again && kindOf(b.series) == mixedKind // the order of a number and a histogram in a batch is not defined
	})
	batch := w.db.NewBatch("test", model.DefaultTenant)
	got, err := w.commit(batch, bursts)
	if errors.Is(err, storage.ErrStaleRef) { // a series has left: a door writes its request again
		batch.Reset()
		got, err = w.commit(batch, bursts)
	}
	if err != nil {
		return err
	}
	want := 0
	for _, b := range bursts {
		s := w.taken(b)
		w.counts.refused += int64(b.n - s.Len())
		if want += s.Len(); s.Len() == 0 {
			continue
		}
		w.model.write(b.series, &s)
		if e, ok := b.exemplarOf(&s); ok {
			w.model.exemplar(b.series, e)
		}
	}
	w.counts.samples += int64(want)
	if n := got.Floats + got.Histograms; n != want {
		return fmt.Errorf("%d samples taken, want %d", n, want)
	}
	return nil
}

func (w *lifeWorld) commit(batch *storage.Batch, bursts []burst) (storage.Receipt, error) {
	for _, b := range bursts {
		alias := model.Hash{Hi: 1, Lo: uint64(b.series)}
		ref, ok := batch.Lookup(alias)
		if !ok {
			var err error
			if ref, err = batch.Resolve(alias, lifeLabels[b.series]); err != nil {
				return storage.Receipt{}, err
			}
		}
		s := b.samples()
		for k, t := range s.T {
			if h := s.HistogramAt(k); !h.IsZero() {
				batch.Histogram(ref, t, s.StartAt(k), h)
			} else {
				batch.Float(ref, t, s.StartAt(k), s.V[k])
			}
		}
		taken := w.taken(b)
		if e, ok := b.exemplarOf(&taken); ok {
			batch.Exemplar(ref, e)
		}
	}
	return batch.Commit(w.ctx)
}

func (w *lifeWorld) importBursts(bursts []burst) error {
	im := w.db.NewImport(storage.ImportOptions{RunBytes: 1})
	defer im.Close()
	want := 0
	for _, b := range bursts {
		s := b.samples()
		if err := im.Add(w.ctx, lifeLabels[b.series], &s); err != nil {
			return err
		}
		taken := w.taken(b)
		if taken.Len() > 0 {
			w.model.write(b.series, &taken)
		}
		want += taken.Len()
	}
	got, err := im.Publish(w.ctx)
	if err != nil {
		return err
	}
	w.archive.unclear = true
	w.counts.samples += int64(want)
	if got.Samples() != want {
		return fmt.Errorf("%d samples taken, want %d", got.Samples(), want)
	}
	return nil
}

func (w *lifeWorld) delete(o lifeOp) error {
	r := storage.DeleteRequest{Range: o.tr, Tenant: model.DefaultTenant, Purge: w.purge}
	for _, s := range o.sets {
		r.Sets = append(r.Sets, matchers(s))
	}
	if _, err := w.db.DeleteSeries(w.ctx, r); err != nil {
		return err
	}
	w.model.remove(r.Sets, o.tr)
	w.counts.deleted++
	return nil
}

func (w *lifeWorld) snapshotOp(o lifeOp) error {
	if o.kind == opSnapshot {
		name, err := w.db.Snapshot(w.ctx, storage.SnapshotOptions{})
		if err != nil {
			return err
		}
		w.clock.Advance(time.Millisecond) // names tell the time
		w.snapshots = append(w.snapshots, lifeSnapshot{name, w.model.clone(), w.floors.clone()})
		w.counts.snapshots++
		return nil
	}
	if len(w.snapshots) == 0 {
		return nil
	}
	i := o.n % len(w.snapshots)
	s := w.snapshots[i]
	dir := w.dir + "/snapshots/" + s.name
	switch o.kind {
	case opRemoveSnapshot:
		w.snapshots = slices.Delete(w.snapshots, i, i+1)
		return w.db.RemoveSnapshot(s.name)
	case opRestore: // life goes on in the snapshot
		if err := w.db.Close(w.ctx); err != nil {
			return err
		}
		w.db = nil
		if err := w.check(w.dir); err != nil {
			return err
		}
		w.dir, w.model, w.snapshots, w.floors = dir, s.model, nil, s.floors
		if err := w.open(); err != nil {
			return err
		}
		w.archive.begin()
		w.counts.restores++
		return w.readAll()
	}
	db, err := w.openDir(dir)
	if err != nil {
		return fmt.Errorf("open snapshot %s: %w", s.name, err)
	}
	err = w.compareAll(db, s.model, s.floors)
	if closeErr := db.Close(w.ctx); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	return errors.Join(err, w.check(dir))
}

func (w *lifeWorld) restart(o lifeOp) error {
	how, mode, _ := strings.Cut(o.how, " ")
	switch how {
	case "stop":
		if err := w.db.Close(w.ctx); err != nil {
			return err
		}
	case "kill":
		w.db.CloseUncut()
	default:
		after := w.fs.CrashClone(vfs.CrashOptions{
			Mode: map[string]vfs.CrashMode{"lose": vfs.CrashLose, "torn": vfs.CrashTorn, "sectors": vfs.CrashSectors}[mode],
			Keep: 0.5, Rand: rand.New(rand.NewSource(int64(o.n))),
		})
		w.db.CloseUncut()
		w.fs = after
	}
	w.db = nil
	w.o = o.options
	w.counts.restarts++
	return w.open()
}
