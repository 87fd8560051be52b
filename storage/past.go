package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
	"tsdb/storage/head"
	"tsdb/storage/history"
)

// maxOpenMarks bounds the marks whose blocks are open at a time.
const maxOpenMarks = 4

// Mark is a moment at which the database can be read: see DB.MarkAt.
type Mark = history.Mark

// ErrNoMark is returned by MarkAt when no mark is as old, and while no history is kept.
var ErrNoMark = history.ErrNoMark

// ErrMarkGone is returned for a mark that has left since MarkAt returned it.
var ErrMarkGone = history.ErrGone

// past takes the marks of the history and opens views of them. A nil *past keeps no
// history.
//
// Lock order: pending and opened are leaves, beside each other.
type past struct {
	*env
	store *history.Store
	set   *blockset.Set

	// pending is the moment at which the frozen memtable was frozen. Its version holds
	// the files until the mark is taken.
	pending struct {
		sync.Mutex
		wallMs  int64
		version *blockset.Version // nil = there is none
	}
	opened struct {
		sync.Mutex
		head *head.Head // of all marks, always empty; nil before the first
		list []*openMark
		done bool
	}
}

// openPast opens the history of a database whose MANIFEST has state st, or removes it if
// none is to be kept.
func openPast(e *env, st *manifest.State) (*past, error) {
	if e.opts.HistoryKeep <= 0 {
		if found, err := history.Remove(e.fs, e.dir); err != nil {
			e.log.Warn("the history, which is not kept any more, cannot be removed", "err", err)
		} else if found {
			e.log.Info("the history is removed: --history.keep is 0")
		}
		return nil, nil
	}
	store, err := history.Open(e.fs, e.dir, st, history.Options{Keep: e.opts.HistoryKeep, Log: e.log})
	if err != nil {
		return nil, err
	}
	return &past{env: e, store: store}, nil
}

func (p *past) use(set *blockset.Set) {
	if p != nil {
		p.set = set
	}
}

// highGeneration returns a generation that is not below that of any purge: generations of
// later writes must be above.
func (p *past) highGeneration() uint64 {
	if p == nil {
		return 0
	}
	return p.store.HighGeneration()
}

// begin notes the present moment: what is in blocks and in the memtable that has just been
// frozen, and nothing else. It is called while no state can be published.
func (p *past) begin(blocks *blockset.Version) {
	if p == nil {
		return
	}
	p.abandon()
	p.pending.Lock()
	defer p.pending.Unlock()
	p.pending.version, p.pending.wallMs = blocks.Retain(), p.now()
}

// abandon forgets the moment that begin has noted: its mark will not be taken, and the files
// that it holds may leave.
func (p *past) abandon() {
	if p == nil {
		return
	}
	if v, _ := p.takePending(); v != nil {
		v.Release()
	}
}

func (p *past) takePending() (*blockset.Version, int64) {
	p.pending.Lock()
	defer p.pending.Unlock()
	v := p.pending.version
	p.pending.version = nil
	return v, p.pending.wallMs
}

// finish takes the mark of the moment that begin has noted: the state of then, and what the
// edit of the cut adds. A failure costs the mark only.
func (p *past) finish(ctx context.Context, cut manifest.Edit) {
	if p == nil {
		return
	}
	v, wallMs := p.takePending()
	if v == nil { // given up
		return
	}
	defer v.Release()
	cut.WallMs = wallMs
	p.take(ctx, v.State().Apply(cut), wallMs)
}

func (p *past) take(ctx context.Context, st *manifest.State, wallMs int64) {
	_ = p.jobs.history.Run(ctx, func(context.Context) error {
		m, err := p.store.Take(st, wallMs)
		if err == nil {
			p.log.Debug("mark taken", "number", m.Number, "wall_ms", m.WallMs, "blocks", len(st.Blocks))
		}
		return err
	})
}

// markPresent takes a mark of the present if everything is in blocks.
func (p *past) markPresent(ctx context.Context, w *writer) {
	v, wallMs := p.presentInBlocks(w)
	if v == nil {
		return
	}
	defer v.Release()
	if ms := p.store.Marks(); len(ms) > 0 && ms[len(ms)-1].WallMs >= wallMs {
		return // a cut has just taken it
	}
	p.take(ctx, v.State(), wallMs)
}

// presentInBlocks returns the present version and its time, nil if something is in memory
// only.
func (p *past) presentInBlocks(w *writer) (*blockset.Version, int64) {
	w.deleting.Lock()
	defer w.deleting.Unlock()
	w.gate.Lock()
	defer w.gate.Unlock()
	st := w.views.pin()
	if st == nil {
		return nil, 0
	}
	defer w.views.release(st)
	if st.frozen != nil || st.active.Stats().Series > 0 || w.tombstones.any() {
		return nil, 0
	}
	return st.blocks.Retain(), p.now()
}

// tidy drops what is too old. Without cuts it takes a mark now and then, so that what
// retention and merges drop is not pinned longer than history is kept.
func (p *past) tidy(ctx context.Context, w *writer) {
	if p == nil || !p.jobs.history.Due() {
		return
	}
	now := p.opts.Clock.Now()
	if p.store.Due(now) {
		p.markPresent(ctx, w)
	}
	if p.jobs.history.Run(ctx, func(context.Context) error { return p.store.Tidy(now) }) == nil {
		p.closeGone()
	}
}

// giveUp drops the oldest marks until that frees something.
func (p *past) giveUp(ctx context.Context, why string) error {
	return p.jobs.history.Run(ctx, func(context.Context) error {
		for before := p.heldBytes(); before > 0 && p.heldBytes() >= before; {
			if given, err := p.giveUpOldest(why); !given || err != nil {
				return err
			}
		}
		return nil
	})
}

// giveUpOldest drops the oldest group of marks, and the moment of a cut that has not ended.
// It reports whether there was any.
func (p *past) giveUpOldest(why string) (bool, error) {
	if p == nil {
		return false, nil
	}
	p.abandon()
	freed, marks, ok, err := p.store.GiveUp()
	if err != nil || !ok {
		return false, err
	}
	p.closeGone()
	p.log.Warn("the oldest marks of the history are given up", "why", why, "marks", marks, "freed_bytes", freed)
	return true, nil
}

// purge hides what a deletion of generation gen deletes from the marks that do not have it.
func (p *past) purge(r *DeleteRequest, gen uint64) error {
	if p == nil {
		return nil // there are no marks
	}
	var ts []manifest.Tombstone
	for _, ms := range r.Sets {
		ts = append(ts, manifest.Tombstone{Tenant: r.Tenant, Matchers: ms, Range: r.Range, Gen: gen})
	}
	err := p.store.Purge(ts, p.now())
	if errors.Is(err, history.ErrTooManyPurges) {
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	p.closeWhere(func(*openMark) bool { return true }) // they are without it
	return err
}

// heldBytes returns the bytes of blocks that only marks have.
func (p *past) heldBytes() int64 {
	if p == nil {
		return 0
	}
	return p.store.HeldBytes()
}

// status describes the history.
func (p *past) status() history.Status {
	if p == nil {
		return history.Status{}
	}
	return p.store.Status()
}

// pins reports whether a mark pins a block.
func (p *past) pins(name string) bool { return p != nil && p.store.MayKeep(name) }

// openMark is a mark whose blocks are open, or being opened.
type openMark struct {
	mark  Mark
	ready chan struct{} // closed when views or err is set
	views *views        // of the mark alone
	err   error

	refs  int  // of views in use; guarded by past.opened
	stale bool // it is not in the list any more; guarded by past.opened
}

// MarkAt returns the newest mark that is not after a time, Unix milliseconds. The error is
// ErrNoMark.
func (db *DB) MarkAt(ms int64) (Mark, error) {
	if db.past == nil {
		return Mark{}, fmt.Errorf("%w: no history is kept (--history.keep=0)", ErrNoMark)
	}
	return db.past.store.Find(ms)
}

// Marks returns all marks, oldest first; none if no history is kept.
func (db *DB) Marks() []Mark {
	if db.past == nil {
		return nil
	}
	return db.past.store.Marks()
}

// Past is the database as it was at a mark. It is safe for concurrent use.
type Past struct {
	db   *DB
	mark Mark
}

// At returns the database as it was at a mark.
func (db *DB) At(m Mark) *Past { return &Past{db, m} }

// View pins the state of the mark. The error is history.ErrGone if the mark has left.
func (p *Past) View() (*View, error) { return p.db.past.view(p.mark) }

// Changes returns nil: the change counters are about the present, so answers of the mark
// are not cached.
func (p *Past) Changes() *Changes { return nil }

// view returns a view of a mark.
func (p *past) view(m Mark) (*View, error) {
	if p == nil {
		return nil, history.ErrGone
	}
	o, first, err := p.acquire(m)
	if err != nil {
		return nil, err
	}
	if first {
		o.views, o.err = p.open(m)
		close(o.ready)
	}
	<-o.ready
	if o.err != nil {
		p.discard(o)
		return nil, o.err
	}
	st := o.views.pin()
	if st == nil {
		p.release(o)
		return nil, ErrClosed
	}
	return &View{views: o.views, st: st, done: func() { p.release(o) }}, nil
}

// acquire returns the open mark with a reference. first tells the caller to open it.
func (p *past) acquire(m Mark) (o *openMark, first bool, err error) {
	var unused *openMark
	defer func() { unused.close() }() // after the lock is released
	p.opened.Lock()
	defer p.opened.Unlock()
	if p.opened.done {
		return nil, false, ErrClosed
	}
	if i := slices.IndexFunc(p.opened.list, func(o *openMark) bool { return o.mark == m }); i >= 0 {
		o = p.opened.list[i]
		o.refs++
		p.opened.list = append(slices.Delete(p.opened.list, i, i+1), o) // the last used is last
		return o, false, nil
	}
	if len(p.opened.list) >= maxOpenMarks {
		i := slices.IndexFunc(p.opened.list, func(o *openMark) bool { return o.refs == 0 })
		if i < 0 {
			return nil, false, Busy(fmt.Sprintf("%d marks of the history are being read, another one has to wait", maxOpenMarks))
		}
		unused = p.removeLocked(i)
	}
	o = &openMark{mark: m, ready: make(chan struct{}), refs: 1}
	p.opened.list = append(p.opened.list, o)
	if p.opened.head == nil {
		p.opened.head = head.New(head.Options{})
	}
	return o, true, nil
}

// removeLocked takes an open mark from the list, and returns it if the caller must close
// it. Otherwise it is closed with its last view.
func (p *past) removeLocked(i int) *openMark {
	o := p.opened.list[i]
	p.opened.list = slices.Delete(p.opened.list, i, i+1)
	o.stale = true
	if o.refs > 0 {
		return nil
	}
	return o
}

func (p *past) release(o *openMark) {
	p.opened.Lock()
	o.refs--
	last := o.refs == 0 && o.stale
	p.opened.Unlock()
	if last {
		o.close()
	}
}

// close closes a mark that nothing uses any more; nil is none.
func (o *openMark) close() {
	if o != nil && o.views != nil {
		o.views.close()
	}
}

// discard drops a reference to a mark that could not be opened, so that the next query
// tries again.
func (p *past) discard(o *openMark) {
	p.opened.Lock()
	defer p.opened.Unlock()
	o.refs--
	p.opened.list = slices.DeleteFunc(p.opened.list, func(other *openMark) bool { return other == o })
}

// open opens the blocks of a mark and publishes its state, in views of its own.
func (p *past) open(m Mark) (*views, error) {
	st, err := p.store.Load(m)
	if err != nil {
		return nil, err
	}
	version, err := p.set.OpenState(st, p.store.OpenBlock)
	if err != nil {
		return nil, fmt.Errorf("open mark %d of the history: %w", m.Number, err)
	}
	if !p.store.Has(m) { // its blocks may be gone already
		version.Release()
		return nil, history.ErrGone
	}
	rules, err := newRuleFloors(st)
	if err != nil {
		version.Release()
		return nil, err
	}
	p.opened.Lock()
	h := p.opened.head
	p.opened.Unlock()
	v := newViews(h, &pendingTombstones{})
	v.publish(&state{active: h.NewBuffer(0), blocks: version, tombstones: st.Tombstones, floor: st.Floor, rules: rules})
	return v, nil
}

// closeGone closes the marks that have left.
func (p *past) closeGone() { p.closeWhere(func(o *openMark) bool { return !p.store.Has(o.mark) }) }

func (p *past) closeWhere(which func(*openMark) bool) {
	var unused []*openMark
	p.opened.Lock()
	for i := len(p.opened.list) - 1; i >= 0; i-- {
		if which(p.opened.list[i]) {
			unused = append(unused, p.removeLocked(i))
		}
	}
	p.opened.Unlock()
	for _, o := range unused {
		o.close()
	}
}

// close closes the files. Views in use stay valid.
func (p *past) close() error {
	if p == nil {
		return nil
	}
	p.abandon()
	p.opened.Lock()
	p.opened.done = true
	p.opened.Unlock()
	p.closeWhere(func(*openMark) bool { return true })
	return p.store.Close()
}
