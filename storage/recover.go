package storage

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"sync/atomic"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition"
	"tsdb/storage/head"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

// exemplarsMost bounds the exemplars of a series in one cut: about half an hour
// at one a scrape.
const exemplarsMost = 128

// replayWorkers is the number of goroutines that replay the log; shards are
// dealt out among them.
const replayWorkers = 4

// RecoveryReport says what Open found.
type RecoveryReport struct {
	Log         log.Report
	Samples     uint64               // samples replayed
	Series      uint64               // series definitions replayed
	LostSamples uint64               // samples in the log whose series definition was damaged
	Refused     []Rejection          // samples in the log that no door takes any more
	Leftovers   []partition.Leftover // files that no edit listed
}

// Open opens the database in dir, or makes one, and returns when everything
// that was acknowledged is there to be queried. ctx ends the replay.
func Open(ctx context.Context, fs vfs.FS, dir string, opts Options) (_ *DB, err error) {
	opts = opts.withDefaults()
	tenants, err := newTenantTable(opts.Tenants)
	if err != nil {
		return nil, err
	}
	db := &DB{
		fs: fs, dir: dir, opts: opts, log: opts.Logger, tenants: tenants,
		metrics: newMetrics(), changes: newChanges(opts.Clock), buffers: make(map[*head.Buffer]int),
		cutSignal: make(chan struct{}),
		lock:      lockWatch{lost: make(chan struct{})},
	}
	db.jobs = newJobs(&opts, db.guarded)
	defer func() {
		if err != nil {
			_ = db.closeFiles() // the first error says more
		}
	}()
	if err := db.makeDirs(); err != nil {
		return nil, err
	}
	if err := db.takeLock(ctx); err != nil {
		return nil, err
	}
	db.fitDisk()
	rec, err := db.logStore().Scan()
	if err != nil {
		return nil, err
	}
	if lost, err := logLoss(fs, dir, rec); err != nil {
		return nil, err
	} else if lost != nil {
		return nil, lost
	}
	if opts.Strict {
		if err := db.strict(rec); err != nil {
			return nil, err
		}
	}
	if err := db.openManifest(rec.Report().Edit); err != nil {
		return nil, err
	}
	if err := db.openBlocks(rec); err != nil {
		return nil, err
	}
	if err := db.replay(ctx, rec); err != nil {
		return nil, err
	}
	db.manifest.Guard(db.checkLock)
	db.tell()
	_ = db.jobs.reserve.Run(ctx, db.ensureReserve) // their jobs repeat what failed
	_ = db.jobs.space.Run(ctx, db.observeSpace)
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

func (db *DB) makeDirs() error {
	for _, d := range []string{"", partition.WALDir, partition.L0Dir, partition.RawDir, partition.LostFoundDir} {
		if err := db.fs.MkdirAll(path.Join(db.dir, d)); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
	}
	if err := db.fs.SyncDir(db.dir); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

// fitDisk sets the sizes that are not set by what the disk can hold.
func (db *DB) fitDisk() {
	total, err := db.fs.TotalBytes(db.dir)
	if err != nil {
		db.log.Warn("the size of the disk is not known, a large one is assumed", "err", err)
	}
	db.opts = db.opts.sizedFor(total)
	db.space.floor = db.opts.MinFreeBytes
}

// logStore returns the log handed in by the options, or the write-ahead log in the
// data directory.
func (db *DB) logStore() log.Store {
	if db.opts.logStore != nil {
		return db.opts.logStore
	}
	return wal.Store{FS: db.fs, Dir: path.Join(db.dir, partition.WALDir), Options: db.walOptions()}
}

func (db *DB) walOptions() wal.Options {
	return wal.Options{
		SegmentBytes: db.opts.WALSegmentBytes, PendingBytes: db.opts.WALPendingBytes, Sync: db.opts.WALSync,
		ListName: path.Join(db.dir, partition.SegmentsName),
		Clock:    db.opts.Clock, Logger: db.log, Progress: db.opts.Progress,
	}
}

// openManifest opens the MANIFEST, which must reach at least to the edit the
// log names, or begins one if there never was any. Without room for its fresh
// snapshot the reserve file goes.
func (db *DB) openManifest(minEdit uint64) (err error) {
	db.manifest, err = partition.OpenManifest(db.fs, db.dir, minEdit)
	if err != nil && isNoSpace(err) && db.giveReserveUp() {
		db.manifest, err = partition.OpenManifest(db.fs, db.dir, minEdit)
	}
	if errors.Is(err, iofs.ErrNotExist) {
		db.manifest, err = partition.CreateManifest(db.fs, db.dir, newSeed(db.opts.Seed), db.now())
	}
	if errors.Is(err, partition.ErrCorrupt) || errors.Is(err, partition.ErrManifestBehind) {
		return fmt.Errorf("%w: %w", ErrManifestDamaged, err)
	}
	return err
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

// openBlocks opens the listed blocks and clears away what no edit lists.
func (db *DB) openBlocks(rec log.Recovery) (err error) {
	if db.opts.CacheBytes > 0 {
		if db.cache, err = partition.NewCache(db.opts.CacheBytes); err != nil {
			return err
		}
	}
	db.set, err = partition.OpenSet(db.fs, db.dir, db.manifest, partition.SetOptions{
		Cache: db.cache, Obsolete: func() { wake(db.jobs.merged) },
	})
	if err != nil {
		return err
	}
	left, err := db.set.CleanUp(rec.Holds)
	db.report.Leftovers = left
	return err
}

// replay brings the samples of the log into the head and opens the log for
// writing above every number that was ever used.
func (db *DB) replay(ctx context.Context, rec log.Recovery) error {
	st := db.manifest.State()
	start := rec.Highest()
	start.Generation = max(start.Generation, st.HighGen)
	start.LSN = max(start.LSN, st.HighLSN)
	start.Segment = max(start.Segment, st.HighSegment)
	db.head = head.New(head.Options{IdentitySeed: st.Seed, ExemplarsMax: exemplarsMost})
	db.active = &memtable{buf: db.head.NewBuffer(start.Generation + 1), low: start.Generation + 1}
	for _, t := range st.Tombstones {
		db.tombstones.last = max(db.tombstones.last, t.ID)
	}
	r := replayer{db: db}
	for _, gen := range rec.Generations() {
		if gen < st.WALLow {
			continue // in a block already; its segments go with the next release
		}
		r.begin()
		if err := rec.Replay(ctx, gen, replayWorkers, r.apply); err != nil {
			return fmt.Errorf("replay of generation %d: %w", gen, err)
		}
		if r.frames.Load() > 0 { // other generations hold only the log's own frames
			db.active.low, db.active.high = min(db.active.low, gen), gen
		}
	}
	db.report.Log = rec.Report()
	db.report.Samples, db.report.Series, db.report.LostSamples = r.samples.Load(), r.series.Load(), r.lost.Load()
	db.metrics.lostSamples.Add(float64(db.report.LostSamples))
	r.refused()
	if err := rec.Repair(); err != nil {
		return fmt.Errorf("repair of the log: %w", err)
	}
	var err error
	if db.wal, err = rec.Open(start); err != nil {
		return err
	}
	db.active.buf.SetGeneration(db.wal.Generation())
	db.wal.NoteEdit(st.Number)
	db.activeSince = db.opts.Clock.Now()
	db.tablesAtCut = db.head.Stats().Bytes
	db.publish(&state{active: db.active.buf, blocks: db.set.Acquire(), floor: st.Floor, tombstones: db.tombstones.all(st.Tombstones)})
	return nil
}

// tell logs what recovery found, if it is worth a line.
func (db *DB) tell() {
	r := &db.report
	db.tellRestored()
	if r.Samples > 0 {
		db.log.Info("log replayed", "samples", r.Samples, "series", r.Series, "bytes", r.Log.Bytes)
	}
	if t := r.Log.Torn; t.File != "" {
		db.log.Warn("end of the log was torn and has been cut; nothing in it was acknowledged",
			"file", t.File, "offset", t.Offset, "bytes", t.Bytes, "first_lsn", t.FirstLSN, "last_lsn", t.LastLSN)
	}
	if err := r.Log.ListErr; err != nil {
		db.log.Error("the list of log segments is not readable: a loss of segments before this start is not noticed", "file", partition.SegmentsName, "err", err)
	}
	if n := db.manifest.State().Incarnation; n.Losses > 0 {
		db.log.Warn("acknowledged samples were lost with the log, and that was accepted", "times", n.Losses, "last", stamp(n.AcceptedMs),
			"received_from", stamp(n.FromMs), "received_to", stamp(n.ToMs), "incarnation", fmt.Sprintf("%016x", n.ID))
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
	v := db.set.Acquire()
	defer v.Release()
	for _, err := range v.Quarantined() {
		db.log.Error("block is quarantined: queries over its time warn", "err", err)
	}
}

// replayer applies the frames of one generation after the other. Frames of
// different shards come concurrently, those of one shard in order. No limit nor
// retention is looked at: what is in the log has been acknowledged. But samples
// that no door takes any more, because they stand in the way of others, are left
// out: times that no sample can have, histograms that cannot be added up.
type replayer struct {
	db                     *DB
	shards                 [model.Shards]replayShard
	frames                 atomic.Uint64 // of the generation
	samples, series, lost  atomic.Uint64
	badTime, badHistograms atomic.Uint64
}

// replayShard maps the slots of the generation being replayed to those of the
// head.
type replayShard struct {
	refs  []model.Ref // by the generation's slot; 0 = not defined
	cols  log.SampleColumns
	hists log.HistogramColumns
	exs   log.ExemplarColumns
}

func (r *replayer) begin() {
	r.frames.Store(0)
	for i := range r.shards {
		clear(r.shards[i].refs)
	}
}

func (r *replayer) apply(shard int, f log.Frame) error {
	r.frames.Add(1)
	s := &r.shards[shard]
	h, buf := r.db.head, r.db.active.buf
	switch f.Type {
	case log.FrameSeries:
		return log.DecodeSeries(f.Payload, func(d log.SeriesDef) error { return r.define(s, f.Tenant, d) })
	case log.FrameSamples:
		c := &s.cols
		if err := log.DecodeSamples(f.Payload, c); err != nil {
			return err
		}
		n := r.keep(s, c.Slots, func(i int) bool { return r.timeOK(c.T[i]) }, func(to, from int) {
			c.Slots[to], c.T[to], c.V[to] = c.Slots[from], c.T[from], c.V[from]
			if len(c.ST) > 0 {
				c.ST[to] = c.ST[from]
			}
		})
		sh := h.Shard(shard)
		sh.Lock()
		defer sh.Unlock()
		sh.AppendFloatsLocked(buf, c.Slots[:n], c.T[:n], c.V[:n], c.ST[:min(n, len(c.ST))])
	case log.FrameHistograms:
		c := &s.hists
		if err := log.DecodeHistograms(f.Payload, c); err != nil {
			return err
		}
		n := r.keep(s, c.Slots, func(i int) bool { return r.timeOK(c.T[i]) && r.histogramOK(c.H[i]) }, func(to, from int) {
			c.Slots[to], c.T[to], c.H[to] = c.Slots[from], c.T[from], c.H[from]
			if len(c.ST) > 0 {
				c.ST[to] = c.ST[from]
			}
		})
		sh := h.Shard(shard)
		sh.Lock()
		defer sh.Unlock()
		sh.AppendHistogramsLocked(buf, c.Slots[:n], c.T[:n], c.ST[:min(n, len(c.ST))], c.H[:n])
	case log.FrameExemplars:
		c := &s.exs
		if err := log.DecodeExemplars(f.Payload, c); err != nil {
			return err
		}
		n, _ := s.resolve(c.Slots, func(i int) bool { return model.ValidTime(c.E[i].T) },
			func(to, from int) { c.Slots[to], c.E[to] = c.Slots[from], c.E[from] })
		sh := h.Shard(shard)
		sh.Lock()
		defer sh.Unlock()
		sh.AppendExemplarsLocked(buf, c.Slots[:n], c.E[:n])
	case log.FrameTombstone:
		t, err := log.DecodeTombstone(f.Payload)
		if err != nil {
			return err
		}
		ms, err := match.Compiled(t.Matchers)
		if err != nil {
			return err
		}
		r.db.tombstones.replayed(f.Tenant, t, f.Generation)
		sh := h.Shard(shard)
		sh.Lock()
		defer sh.Unlock()
		sh.DeleteLocked(buf, f.Tenant, ms, t.Range)
	case log.FrameMetadata:
		return log.DecodeMetadata(f.Payload, func(metric string, m model.Metadata) error {
			r.db.active.metadata.set(f.Tenant, metric, m)
			h.SetMetadata(f.Tenant, metric, m)
			return nil
		})
	}
	return nil
}

// keep resolves the slots of samples, counts them and returns how many are kept.
func (r *replayer) keep(s *replayShard, slots []uint32, ok func(i int) bool, move func(to, from int)) int {
	n, lost := s.resolve(slots, ok, move)
	r.samples.Add(uint64(n))
	r.lost.Add(uint64(lost))
	return n
}

// refused reports and counts what was left out.
func (r *replayer) refused() {
	var all Rejections
	for _, x := range [...]struct {
		reason Reason
		n      uint64
		detail string
	}{
		{ReasonBadTime, r.badTime.Load(), fmt.Sprintf("their times are not between %s and %s", stamp(model.MinTime), stamp(model.MaxTime))},
		{ReasonBadHistogram, r.badHistograms.Load(), "the indexes of their buckets are out of bounds"},
	} {
		if x.n > 0 {
			all.Add(x.reason, "", 0, x.detail, int(x.n))
			r.db.metrics.rejected.WithLabelValues(replayDoor, string(x.reason)).Add(float64(x.n))
		}
	}
	r.db.report.Refused = all.List()
}

// replayDoor is the replay of the log as a door in the rejection metrics.
const replayDoor = "replay"

func (r *replayer) timeOK(t int64) bool {
	if !model.ValidTime(t) {
		r.badTime.Add(1)
		return false
	}
	return true
}

func (r *replayer) histogramOK(h model.Histogram) bool {
	if h.CheckSpans() != nil {
		r.badHistograms.Add(1)
		return false
	}
	return true
}

// define takes a definition of the generation over into the head.
func (r *replayer) define(s *replayShard, tenant uint32, d log.SeriesDef) error {
	if d.Slot >= model.MaxSlots {
		return fmt.Errorf("definition of slot %d: %w", d.Slot, log.ErrCorrupt)
	}
	ref, _ := r.db.head.Resolve(tenant, d.Labels)
	if ref == 0 {
		return fmt.Errorf("the head has no room for %s", d.Labels)
	}
	if n := int(d.Slot) + 1; n > len(s.refs) {
		s.refs = append(s.refs, make([]model.Ref, n+n/2-len(s.refs))...)
	}
	s.refs[d.Slot] = ref
	r.series.Add(1)
	return nil
}

// resolve turns the generation's slots into those of the head, in place. Rows
// whose definition is lost are left out, and those of others that are not ok:
// move puts the rest in their place. It returns how many are left, and how many
// were lost.
func (s *replayShard) resolve(slots []uint32, ok func(i int) bool, move func(to, from int)) (n, lost int) {
	for i, slot := range slots {
		if int(slot) >= len(s.refs) || s.refs[slot] == 0 {
			lost++
			continue
		}
		if !ok(i) {
			continue
		}
		slots[i] = s.refs[slot].Slot()
		if n != i {
			move(n, i)
		}
		n++
	}
	return n, lost
}
