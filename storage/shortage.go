package storage

import (
	"context"

	"tsdb/partition"
)

// A relief is a way to get free disk space back.
type relief uint8

const (
	reliefNone  relief = iota
	reliefCut          // cut the head: the log's segments go, a block comes
	reliefPool         // remove the released segments that wait to be used again
	reliefMerge        // merge blocks towards their final form
)

func (r relief) String() string {
	return [...]string{"none", "cut", "pool", "merge"}[r]
}

// supply is what decides how free space is got back, all in bytes.
type supply struct {
	free, needed int64
	cutFrees     int64 // what a cut takes from the log's files
	block        int64 // at most what the block of a cut takes
	pooled       int64 // released segments that no spare is wanted of
	mergeable    int64 // inputs of a merge whose outputs fit into free
}

// relief returns the next step towards needed. A cut comes first: it gives back
// the most, and what is in memory needs less then. It must free more than its
// block takes, and should find the room for it; that failing, others make room
// first. The size of the block is only bounded, so in the end it is tried.
func (s supply) relief() relief {
	cut := s.cutFrees > s.block
	switch {
	case s.free >= s.needed:
		return reliefNone
	case cut && s.block <= s.free:
		return reliefCut
	case s.pooled > 0:
		return reliefPool
	case s.mergeable > 0:
		return reliefMerge
	case cut:
		return reliefCut
	}
	return reliefNone
}

// nextRelief returns what is to be done about a lack of space that observeSpace
// has found.
func (db *DB) nextRelief(ctx context.Context) relief {
	short := db.space.short.Load()
	if short == nil {
		return reliefNone
	}
	free, err := db.fs.FreeBytes(db.dir)
	if err != nil {
		return reliefNone // the next measurement says so
	}
	s := supply{free: int64(free), needed: db.space.floor + db.headStatus().Bytes, pooled: db.wal.PooledBytes()}
	// Samples take less in a block than in memory, and labels less than the
	// tables of the head.
	if st := db.activeBuffer().Stats(); st.Series > 0 {
		s.cutFrees = db.wal.CutFrees()
		s.block = st.Bytes + db.head.Stats().Bytes
	}
	if db.jobs.merge.Due() {
		s.mergeable = db.mergeable(ctx, free)
	}
	return s.relief()
}

// mergeable returns the bytes that the next merge towards the final form reads,
// 0 if there is none that fits into free.
func (db *DB) mergeable(ctx context.Context, free uint64) int64 {
	if db.manifest.Err() != nil {
		return 0
	}
	v := db.set.Acquire()
	defer v.Release()
	plan, ok := partition.PlanFinal(v.PlanBlocks(nil), db.planOptions(ctx, v, free))
	if !ok {
		return 0
	}
	return plan.Bytes
}

// relieve takes the steps against a lack of space that are not a cut: watch and
// maintain do those that are theirs.
func (db *DB) relieve(ctx context.Context) {
	switch db.nextRelief(ctx) {
	case reliefPool:
		if db.jobs.release.Due() && db.jobs.release.Run(ctx, func(context.Context) error { return db.wal.DropPool() }) == nil {
			db.log.Info("released log segments are removed, free disk space is short")
			db.kickCut() // look again at once
		}
	case reliefMerge:
		wake(db.jobs.merged)
	}
}
