package storage

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/datadir"
	"tsdb/storage/log"
	"tsdb/storage/namestats"
	"tsdb/storage/wal"
)

// RecoveryReport is the result of the recovery by Open.
type RecoveryReport struct {
	Log         log.Report
	Samples     uint64              // samples replayed
	Series      uint64              // series definitions replayed
	LostSamples uint64              // samples in the log whose series definition was damaged
	Refused     []Rejection         // samples in the log that no door takes any more
	Leftovers   []blockset.Leftover // files that no edit listed
}

// Open opens the database in dir, or makes one, and returns when everything
// that was acknowledged can be queried. ctx ends the replay.
func Open(ctx context.Context, fs vfs.FS, dir string, opts Options) (_ *DB, err error) {
	opts = opts.withDefaults()
	tenants, err := newTenantTable(opts.Tenants)
	if err != nil {
		return nil, err
	}
	e := &env{
		fs: fs, dir: dir, objects: objstore.NewDir(fs, dir),
		opts: opts, log: opts.Logger, metrics: newMetrics(), changes: newChanges(opts.Clock),
	}
	p, err := newPolicy(Retention{RawMs: opts.RetentionMs, TierMs: opts.TierRetentionMs, Rules: opts.RetentionRules, MaxBytes: opts.RetentionBytes, MaxPercent: opts.RetentionPercent})
	if err != nil {
		return nil, err
	}
	e.policy.Store(p)
	e.jobs = newJobs(&opts, e.guarded)
	db := &DB{env: e, tenants: tenants}
	defer func() {
		if err != nil {
			_ = db.closeFiles() // the first error says more
		}
	}()
	if err := db.makeDirs(); err != nil {
		return nil, err
	}
	if db.lock, err = lockDir(ctx, e); err != nil {
		return nil, err
	}
	if err := e.checkRestored(); err != nil {
		return nil, err
	}
	e.fitDisk()
	rec, err := e.logStore().Scan()
	if err != nil {
		return nil, err
	}
	if lost, err := datadir.LogLoss(fs, dir, rec); err != nil {
		return nil, err
	} else if lost != nil {
		return nil, lost
	}
	if opts.Strict {
		if err := datadir.CheckStrict(fs, dir, rec); err != nil {
			return nil, err
		}
	}
	if db.manifest, err = e.openManifest(rec.Report().Edit); err != nil {
		return nil, err
	}
	if err := e.ensureIncarnation(db.manifest); err != nil {
		return nil, err
	}
	if err := db.openBlocks(rec); err != nil {
		return nil, err
	}
	if err := db.openLog(ctx, rec); err != nil {
		return nil, err
	}
	db.lock.onLost = db.wal.Fail
	db.manifest.Guard(db.lock.check)
	db.snapshots.clean()
	db.catalog.logRestored()
	db.logRecovery()
	_ = e.jobs.reserve.Run(ctx, e.ensureReserve) // their jobs repeat a failure
	_ = e.jobs.space.Run(ctx, db.space.measure)
	if opts.Registerer != nil {
		if err := db.describe(opts.Registerer); err != nil {
			return nil, err
		}
	}
	if opts.Background {
		db.startJobs()
	}
	return db, nil
}

func (e *env) makeDirs() error {
	if err := vfs.MakeDirs(e.fs, e.dir); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	for _, d := range []string{"", format.WALDir, format.L0Dir, format.RawDir, format.LostFoundDir} {
		if err := e.fs.MkdirAll(path.Join(e.dir, d)); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

// checkRestored returns an error if a restore of the directory was interrupted.
func (e *env) checkRestored() error {
	_, err := e.fs.Stat(path.Join(e.dir, format.RestoringName))
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for %s: %w", format.RestoringName, err)
	}
	return fmt.Errorf("%s: %w", e.dir, ErrRestoring)
}

// fitDisk sets the sizes that are not set, to fit the disk.
func (e *env) fitDisk() {
	total, err := e.fs.TotalBytes(e.dir)
	if err != nil {
		e.log.Warn("the size of the disk is not known, a large one is assumed", "err", err)
	}
	e.opts = e.opts.sizedFor(total)
}

// logStore returns the log handed in by the options, or the write-ahead log in the
// data directory.
func (e *env) logStore() log.Store {
	if e.opts.logStore != nil {
		return e.opts.logStore
	}
	return wal.Store{FS: e.fs, Dir: path.Join(e.dir, format.WALDir), Options: e.walOptions()}
}

func (e *env) walOptions() wal.Options {
	return wal.Options{
		SegmentBytes: e.opts.WALSegmentBytes, PendingBytes: e.opts.WALPendingBytes, Sync: e.opts.WALSync, Keep: e.opts.WALKeep,
		ListName: path.Join(e.dir, format.SegmentsName),
		Clock:    e.opts.Clock, Logger: e.log, Progress: e.opts.Progress,
	}
}

// openManifest opens the MANIFEST, which must reach at least to the edit the
// log names, or begins one if there never was any. Without room for its fresh
// snapshot the reserve file goes.
func (e *env) openManifest(minEdit uint64) (*manifest.Manifest, error) {
	m, err := manifest.Open(e.fs, e.dir, minEdit)
	if err != nil && isNoSpace(err) && e.giveReserveUp() {
		m, err = manifest.Open(e.fs, e.dir, minEdit)
	}
	if errors.Is(err, iofs.ErrNotExist) {
		st := manifest.NewState(newSeed(e.opts.Seed), e.now())
		st.Incarnation.ID = e.newIncarnation(st)
		m, err = manifest.CreateState(e.fs, e.dir, st)
	}
	if errors.Is(err, format.ErrCorrupt) || errors.Is(err, manifest.ErrBehind) {
		return nil, fmt.Errorf("%w: %w", ErrManifestDamaged, err)
	}
	return m, err
}

// newSeed returns seed, or a random one if it is 0.
func newSeed(seed uint64) uint64 {
	for seed == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		seed = binary.LittleEndian.Uint64(b[:])
	}
	return seed
}

// openBlocks opens the listed blocks and removes files that no edit lists.
func (db *DB) openBlocks(rec log.Recovery) (err error) {
	if db.opts.CacheBytes > 0 {
		if db.cache, err = block.NewCache(db.opts.CacheBytes); err != nil {
			return err
		}
	}
	o := blockset.Options{Cache: db.cache, Obsolete: func() { wake(db.jobs.merged) }}
	if db.past, err = openPast(db.env, db.manifest.State()); err != nil {
		return err
	}
	if db.past != nil {
		o.Keeper = db.past.store
	}
	if db.set, err = blockset.Open(db.objects, db.manifest, o); err != nil {
		return err
	}
	db.past.use(db.set)
	if db.report.Leftovers, err = db.set.CleanUp(rec.Holds); err != nil {
		return err
	}
	err = db.objects.RemoveEmptyDirs(format.RawDir + "/")
	for _, tier := range block.Rollups {
		err = errors.Join(err, db.objects.RemoveEmptyDirs(tier.Dir()+"/"))
	}
	return err
}

// openLog replays the log into the head, opens it for writing above every number
// that was ever used, and puts the parts of the database together.
func (db *DB) openLog(ctx context.Context, rec log.Recovery) error {
	st := db.manifest.State()
	start := rec.Highest()
	start.Generation = max(start.Generation, st.HighGen)
	start.LSN = max(start.LSN, st.HighLSN)
	start.Segment = max(start.Segment, st.HighSegment)
	start.Generation = max(start.Generation, db.past.highGeneration())
	r := newReplayer(st, start.Generation+1)
	r.now = db.opts.Clock.Now()
	if err := r.replay(ctx, rec, st.WALLow); err != nil {
		return err
	}
	db.head = r.head
	db.report.Log = rec.Report()
	r.report(&db.report, db.metrics)
	if err := rec.Repair(); err != nil {
		return fmt.Errorf("repair of the log: %w", err)
	}
	var err error
	if db.wal, err = rec.Open(start); err != nil {
		return err
	}
	r.active.buf.SetGeneration(db.wal.Generation())
	db.wal.NoteEdit(st.Number)
	db.views = newViews(db.head, r.tombstones)
	rules, err := newRuleFloors(st)
	if err != nil {
		return err
	}
	db.views.publish(&state{active: r.active.buf, blocks: db.set.Acquire(), floor: st.Floor, rules: rules, tombstones: r.tombstones.all(st.Tombstones)})
	db.assemble(r.active, r.tombstones)
	return nil
}

// assemble makes the parts of the database, each of which knows only those
// before it.
func (db *DB) assemble(active *memtable, tombstones *pendingTombstones) {
	db.catalog = &catalog{
		env: db.env, manifest: db.manifest, set: db.set, wal: db.wal, views: db.views,
		tombstones: tombstones, checkLock: db.lock.check,
	}
	db.space = &space{env: db.env, wal: db.wal, views: db.views}
	db.writer = &writer{env: db.env, head: db.head, wal: db.wal, views: db.views, tombstones: tombstones, past: db.past}
	db.writer.gate.active, db.writer.gate.since = active, db.opts.Clock.Now()
	db.compactor = &compactor{env: db.env, catalog: db.catalog, past: db.past}
	db.roller = newRoller(db.env, db.catalog, db.space)
	db.queried = namestats.New(db.opts.Clock)
	if err := db.queried.Load(db.fs, db.dir); err != nil {
		db.log.Warn("the table of queried metrics is not readable, counting begins anew", "err", err)
	}
	db.counts = newDayCounts(db.env, db.views, &db.churn)
	db.snapshots = &snapshots{env: db.env, catalog: db.catalog, space: db.space, writer: db.writer, past: db.past}
	db.relief = &reliever{env: db.env, space: db.space, writer: db.writer, compactor: db.compactor, snapshots: db.snapshots, past: db.past}
	db.flusher = &flusher{
		env: db.env, head: db.head, wal: db.wal, views: db.views,
		writer: db.writer, catalog: db.catalog, relief: db.relief, past: db.past,
	}
	db.snapshots.cut = db.flusher.cut
	db.flusher.mu.tablesAtCut = db.head.Stats().Bytes
	db.flusher.ended.signal = make(chan struct{})
	db.compactor.pause = db.flusher.makeRoom
	db.counts.pause = db.flusher.makeRoom
	db.roller.pause, db.roller.forget, db.roller.retain = db.flusher.makeRoom, db.compactor.dropTombstones, db.compactor.retain
}

// logRecovery logs the findings of the recovery.
func (db *DB) logRecovery() {
	r := &db.report
	if r.Samples > 0 {
		db.log.Info("log replayed", "samples", r.Samples, "series", r.Series, "bytes", r.Log.Bytes)
	}
	if t := r.Log.Torn; t.File != "" {
		db.log.Warn("end of the log was torn and has been cut; nothing in it was acknowledged",
			"file", t.File, "offset", t.Offset, "bytes", t.Bytes, "first_lsn", t.FirstLSN, "last_lsn", t.LastLSN)
	}
	if err := r.Log.ListErr; err != nil {
		db.log.Error("the list of log segments is not readable: a loss of segments before this start is not noticed", "file", format.SegmentsName, "err", err)
	}
	db.logTiersOff()
	if n := db.catalog.manifest.State().Incarnation; n.Losses > 0 {
		db.log.Warn("acknowledged samples were lost with the log, and that was accepted", "times", n.Losses, "last", model.FormatTime(n.AcceptedMs),
			"received_from", model.FormatTime(n.FromMs), "received_to", model.FormatTime(n.ToMs), "incarnation", fmt.Sprintf("%016x", n.ID))
	}
	for _, d := range r.Log.Damage {
		db.log.Error("damage in the log was skipped", "file", d.File, "offset", d.Offset, "what", d.String())
	}
	if r.LostSamples > 0 {
		db.log.Error("samples of the log lost with the definitions of their series", "samples", r.LostSamples)
	}
	for _, x := range r.Refused {
		db.log.Error("samples of the log are left out: an earlier version took them", "samples", x.Count, "reason", string(x.Reason), "detail", x.Detail)
	}
	for _, l := range r.Leftovers {
		switch {
		case l.Err != nil:
			db.log.Error("file belongs to nothing and stays where it is", "file", l.Name, "reason", l.Reason, "err", l.Err)
		case l.MovedTo != "":
			db.log.Warn("file belongs to nothing and was moved", "file", l.Name, "to", l.MovedTo, "reason", l.Reason)
		default:
			db.log.Debug("leftover deleted", "file", l.Name, "reason", l.Reason)
		}
	}
	v := db.catalog.set.Acquire()
	defer v.Release()
	for _, err := range v.Quarantined() {
		db.log.Error("block is quarantined: queries over its time warn", "err", err)
	}
}
