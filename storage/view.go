package storage

import (
	"context"
	"slices"
	"sync"

	"tsdb/internal/model"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
	"tsdb/storage/head"
)

// state is the visible state of the database: buffers of the head, blocks,
// deletions, retention floor. It is immutable and counted: buffers and blocks are
// released with the last state that names them.
type state struct {
	active *head.Buffer
	frozen *head.Buffer // being cut; nil if none is
	blocks *blockset.Version
	// tombstones cover blocks and the frozen buffer by generation; from the
	// active buffer, deletions remove samples at once.
	tombstones []manifest.Tombstone
	floor      int64 // of samples that do not stand in for a rollup, Unix milliseconds
	rules      *ruleFloors

	refs int // guarded by views.mu
}

// View is a consistent, pinned state of the database: every sample is in it
// once, whatever is cut or merged meanwhile, and samples acknowledged before
// it was taken are in it. It is safe for concurrent use until Release.
type View struct {
	views   *views
	st      *state
	once    sync.Once
	options ReadOptions
	done    func() // called after the release; nil = nothing
}

// ReadOptions are a reader's hooks into the Select of a view and into reading the
// series that it returns. The zero value has none.
type ReadOptions struct {
	// Reserve is called before memory is allocated for up to n more series. Its
	// error ends the Select.
	Reserve func(n int) error

	// Yield is called now and then, between blocks, batches of series and the
	// sources of a series, while no lock is held. It may block, so that others
	// can use the CPU; its error ends the call.
	Yield func() error
}

// View pins the present state. The error is ErrClosed after Close.
func (db *DB) View() (*View, error) {
	st := db.views.pin()
	if st == nil {
		return nil, ErrClosed
	}
	return &View{views: db.views, st: st}, nil
}

// SetReadOptions sets the hooks of the view. It is called before the first Select,
// if at all.
func (v *View) SetReadOptions(o ReadOptions) { v.options = o }

// checkpoint returns the error of the context or, if there is none, yields.
func (v *View) checkpoint(ctx context.Context) error {
	if err := ctx.Err(); err != nil || v.options.Yield == nil {
		return err
	}
	return v.options.Yield()
}

// Release unpins the view; it may be called again.
func (v *View) Release() {
	v.once.Do(func() {
		v.views.release(v.st)
		if v.done != nil {
			v.done()
		}
	})
}

// RawFloor returns the time before which samples of all series have expired, Unix
// milliseconds, except for those that stand in for buckets of a rollup. By retention
// rules samples of some series have expired earlier: see FloorFor.
func (v *View) RawFloor() int64 { return v.st.floor }

// buffers returns the buffers of the state.
func (s *state) buffers() []*head.Buffer {
	if s.frozen == nil {
		return []*head.Buffer{s.active}
	}
	return []*head.Buffer{s.frozen, s.active}
}

// visible clips a range to the times that the view shows.
func (s *state) visible(tr model.TimeRange) model.TimeRange {
	return tr.Intersect(s.blocks.Kept())
}

// buffersIn returns the buffers that have samples in a range.
func (s *state) buffersIn(tr model.TimeRange) []*head.Buffer {
	return slices.DeleteFunc(s.buffers(), func(b *head.Buffer) bool {
		st := b.Stats()
		return st.Samples == 0 || st.MinTime >= tr.Max || st.MaxTime < tr.Min
	})
}
