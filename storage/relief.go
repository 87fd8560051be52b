package storage

import (
	"context"
)

// A relief is a step that frees disk space.
type relief uint8

const (
	reliefNone      relief = iota
	reliefHistory          // give up the oldest marks of the history
	reliefCut              // cut the head: the log's segments go, a block comes
	reliefPool             // remove the released segments that wait to be used again
	reliefSnapshots        // remove the temporary snapshots, which backups make
	reliefMerge            // merge blocks towards their final form
)

func (r relief) String() string {
	return [...]string{"none", "history", "cut", "pool", "snapshots", "merge"}[r]
}

// supply decides how disk space is freed, all in bytes.
type supply struct {
	free, needed int64
	history      int64 // blocks that only marks have
	cutFrees     int64 // by a cut, of the log's files
	block        int64 // upper bound of the block of a cut
	pooled       int64 // released segments that no spare is wanted of
	temporary    int64 // pinned by temporary snapshots
	mergeable    int64 // inputs of a merge whose outputs fit into free
}

// relief returns the next step towards needed. History goes first: nothing else is lost with
// it. A cut comes next: it frees the most, and the head needs less space afterwards. It must free more than its block
// takes and should have room for it; if it has not, other steps make room first. The size of the block is only bounded, so in the end it is tried.
func (s supply) relief() relief {
	cut := s.cutFrees > s.block
	switch {
	case s.free >= s.needed:
		return reliefNone
	case s.history > 0:
		return reliefHistory
	case cut && s.block <= s.free:
		return reliefCut
	case s.pooled > 0:
		return reliefPool
	case s.temporary > 0:
		return reliefSnapshots
	case s.mergeable > 0:
		return reliefMerge
	case cut:
		return reliefCut
	}
	return reliefNone
}

// reliever gets disk space back when it is short.
type reliever struct {
	*env
	space     *space
	writer    *writer
	compactor *compactor
	snapshots *snapshots
	past      *past
}

// next returns the next step against a lack of space that space has measured.
func (r *reliever) next(ctx context.Context) relief {
	short := r.space.short.Load()
	if short == nil {
		return reliefNone
	}
	free, err := r.fs.FreeBytes(r.dir)
	if err != nil {
		return reliefNone // the next measurement says so
	}
	s := supply{free: int64(free), needed: r.space.needed(), pooled: r.writer.wal.PooledBytes(), temporary: r.snapshots.temporaryBytes()}
	if r.jobs.history.Due() { // while that fails, other steps have to do
		s.history = r.past.heldBytes()
	}
	// Samples take less space in a block than in memory, and labels less than in
	// the tables of the head.
	if st := r.writer.active().buf.Stats(); st.Series > 0 {
		s.cutFrees = r.writer.wal.CutFrees()
		s.block = st.Bytes + r.writer.head.Stats().Bytes
	}
	if r.jobs.merge.Due() {
		s.mergeable = r.compactor.mergeable(ctx, free)
	}
	return s.relief()
}

// relieve takes the steps that are neither a cut nor a merge, which the jobs of
// DB take.
func (r *reliever) relieve(ctx context.Context) {
	if r.space.short.Load() != nil {
		r.past.abandon() // a cut that fails for want of space must not keep what merges drop
	}
	switch r.next(ctx) {
	case reliefHistory:
		if r.jobs.history.Due() && r.past.giveUp(ctx, "free disk space is short") == nil {
			r.jobs.kickCut() // look again at once
		}
	case reliefPool:
		if r.jobs.release.Due() && r.jobs.release.Run(ctx, func(context.Context) error { return r.writer.wal.DropPool() }) == nil {
			r.log.Info("released log segments are removed, free disk space is short")
			r.jobs.kickCut() // look again at once
		}
	case reliefSnapshots:
		if r.jobs.snapshots.Due() && r.jobs.snapshots.Run(ctx, r.snapshots.giveUp) == nil {
			r.jobs.kickCut()
		}
	case reliefMerge:
		wake(r.jobs.merged)
	}
}
