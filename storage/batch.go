package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/storage/head"
)

// The errors of a commit.
var (
	// ErrBusy is returned when the database cannot accept the batch now but
	// will later: it is starting or closing, or the head or the disk is full.
	// Nothing, or a part that a repetition does not double, was applied.
	ErrBusy = errors.New("not accepting writes at the moment")
	// ErrPoisoned is returned after a failed write or sync of the log: no
	// write is accepted until a restart.
	ErrPoisoned = errors.New("the write-ahead log failed, restart required")
	// ErrStaleRef is returned when a series was evicted from the head between
	// Lookup and Commit. The door decodes the request again.
	ErrStaleRef = errors.New("series reference is out of date")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("database is closed")
)

// Busy returns an ErrBusy of something else than a write, with a text of its own.
func Busy(text string) error { return busyError(text) }

type busyError string

func (e busyError) Error() string { return string(e) }

func (busyError) Is(target error) bool { return target == ErrBusy }

// Batch collects the samples of one request. It belongs to one goroutine and
// is used again after Reset. A door looks a series up by the hash of what the
// client sent, resolves the ones it does not know, adds samples by ref, and
// commits.
type Batch struct {
	db     *DB
	door   string
	tenant uint32

	now        time.Time // at Reset
	minT, maxT int64     // bounds of the times accepted of every series, inclusive
	late       lateLimits
	oldest     int64 // time of the oldest sample, math.MaxInt64 if there is none

	floats floatColumns
	hists  histColumns
	exs    exemplarColumns
	metas  []metaEntry

	rejects Rejections
	dropped Dropped
	commit  commitScratch

	owner   uint8              // of the series that the door sends first: see head.Claim
	created prometheus.Counter // of those; nil until there is one
	limits  SeriesLimits

	// unregistered are the series that the batch has resolved and the head did
	// not have. Refs of epoch 0 name them, by index + 1 as slot; each is
	// registered with its first sample or exemplar that is not refused.
	unregistered []unregisteredSeries

	// verifyRefs is set after a commit with a stale ref: refs of aliases are then
	// used only if their series are still in the head.
	verifyRefs bool
}

type floatColumns struct {
	refs []model.Ref
	ts   []int64
	vs   []float64
	sts  []int64 // empty until a sample has a start timestamp
}

type histColumns struct {
	refs []model.Ref
	ts   []int64
	sts  []int64
	hs   []model.Histogram
}

type exemplarColumns struct {
	refs []model.Ref
	es   []model.Exemplar
}

type unregisteredSeries struct {
	alias  model.Hash
	id     model.Identity
	labels labels.Labels
	ref    model.Ref // 0 until the series is registered
}

type metaEntry struct {
	metric string
	meta   model.Metadata
}

// Receipt is the result of a commit.
type Receipt struct {
	Floats, Histograms, Exemplars, Metadata int // accepted, identical repetitions included
	Dropped                                 Dropped
	Rejected                                []Rejection
}

// Dropped counts what was left out on purpose, because its series was dropped: it is
// neither accepted nor refused.
type Dropped struct{ Floats, Histograms, Exemplars int }

// RefDropped is the ref of a series that Drop has dropped.
const RefDropped = head.RefRefused

// RejectedCount returns how many samples were refused.
func (r Receipt) RejectedCount() int {
	n := 0
	for _, x := range r.Rejected {
		n += x.Count
	}
	return n
}

// NewBatch returns an empty batch for requests of one door and one tenant. The
// name of the door is a label value of the rejection metrics ("remote_write",
// "influx", …).
func (db *DB) NewBatch(door string, tenant uint32) *Batch {
	b := &Batch{db: db, door: door, tenant: tenant, owner: db.owners.of(door)}
	b.Reset()
	return b
}

// Reset empties the batch, keeps its memory and updates the time bounds.
func (b *Batch) Reset() {
	f := &b.floats
	f.refs, f.ts, f.vs, f.sts = f.refs[:0], f.ts[:0], f.vs[:0], f.sts[:0]
	h := &b.hists
	clear(h.hs)
	h.refs, h.ts, h.sts, h.hs = h.refs[:0], h.ts[:0], h.sts[:0], h.hs[:0]
	clear(b.exs.es)
	b.exs.refs, b.exs.es = b.exs.refs[:0], b.exs.es[:0]
	clear(b.metas)
	b.metas = b.metas[:0]
	clear(b.unregistered)
	b.unregistered = b.unregistered[:0]
	b.rejects.Reset()
	b.dropped = Dropped{}
	b.now = b.db.opts.Clock.Now()
	b.minT, b.maxT = b.db.timeBounds(b.now.UnixMilli())
	b.late.reset(b.db)
	b.oldest = math.MaxInt64
}

// Lookup returns the ref stored under an alias.
func (b *Batch) Lookup(alias model.Hash) (model.Ref, bool) {
	ref, ok := b.db.head.Alias(alias)
	if ok && b.verifyRefs && !b.db.alive(ref) {
		return 0, false
	}
	return ref, ok
}

// LookupAll looks up many aliases at once; refs[i] is 0 if aliases[i] is unknown.
// refs is as long as aliases.
func (b *Batch) LookupAll(aliases []model.Hash, refs []model.Ref) {
	b.db.head.Aliases(aliases, refs)
	if !b.verifyRefs {
		return
	}
	for i, ref := range refs {
		if ref != 0 && !b.db.alive(ref) {
			refs[i] = 0
		}
	}
}

// Resolve returns the ref of a series by its labels and stores its alias. The
// labels are sorted by name, without duplicates and empty values; the door has
// checked them against its limits. They are retained until Reset. A series that the head does not have is
// registered with the first sample or exemplar that the batch accepts, so that
// refused ones leave nothing behind: until then its ref is valid in this batch
// only, up to Reset.
func (b *Batch) Resolve(alias model.Hash, ls labels.Labels) (model.Ref, error) {
	if err := checkOrder(ls); err != nil {
		return 0, err
	}
	id, ref := b.db.head.Find(b.tenant, ls)
	if ref != 0 {
		b.db.head.SetAlias(alias, ref)
		b.db.head.Claim(ref, b.owner)
		return ref, nil
	}
	b.unregistered = append(b.unregistered, unregisteredSeries{alias: alias, id: id, labels: ls})
	return model.MakeRef(0, uint32(len(b.unregistered)), 0), nil
}

// Drop returns the ref of a series whose samples are to be left out, and remembers it
// under the alias.
func (b *Batch) Drop(alias model.Hash) model.Ref {
	b.db.head.SetAlias(alias, RefDropped)
	return RefDropped
}

// checkOrder returns an error if labels are not sorted by name, or a name or value
// is empty: the identity of the series would be wrong.
func checkOrder(ls labels.Labels) error {
	prev, ok := "", ls.Len() > 0
	ls.Range(func(l labels.Label) {
		ok = ok && l.Name > prev && l.Value != ""
		prev = l.Name
	})
	if !ok {
		return fmt.Errorf("BUG: labels of a series are not sorted, or empty: %s", clip(ls.String()))
	}
	return nil
}

// register returns the head's ref of a series, which it creates if it is new. It
// returns 0 if the head has no room; the sample is then counted as refused.
func (b *Batch) register(ref model.Ref, t int64) model.Ref {
	u := &b.unregistered[ref.Slot()-1]
	if u.ref == 0 {
		made, bad := b.create(u)
		if bad != nil {
			series := ""
			if !b.rejects.Has(bad.Reason) {
				series = clip(u.labels.String())
			}
			b.rejects.Add(bad.Reason, series, t, bad.Detail, 1)
			return 0
		}
		u.ref = made
	}
	return u.ref
}

// seriesName returns the labels of a series for a message.
func (b *Batch) seriesName(ref model.Ref) string {
	if ref.Epoch() == 0 {
		return clip(b.unregistered[ref.Slot()-1].labels.String())
	}
	return clip(b.db.seriesName(ref))
}

// Float adds a float sample. t and st are Unix milliseconds, st 0 if there is
// no start timestamp. A sample outside the time bounds is refused.
func (b *Batch) Float(ref model.Ref, t, st int64, v float64) {
	if (t < b.minT || t > b.maxT || !model.ValidTime(st)) && b.refused(ref, t, st) {
		return
	}
	if ref.Epoch() == 0 {
		if ref == RefDropped {
			b.dropped.Floats++
			return
		}
		if ref = b.register(ref, t); ref == 0 {
			return
		}
	}
	b.oldest = min(b.oldest, t)
	f := &b.floats
	if st != 0 && len(f.sts) == 0 {
		f.sts = append(f.sts, make([]int64, len(f.ts))...)
	}
	if len(f.sts) > 0 || st != 0 {
		f.sts = append(f.sts, st)
	}
	f.refs = append(f.refs, ref)
	f.ts = append(f.ts, t)
	f.vs = append(f.vs, v)
}

// Histogram adds a native histogram, which the batch owns from now on. It has
// been validated by the door.
func (b *Batch) Histogram(ref model.Ref, t, st int64, h model.Histogram) {
	if (t < b.minT || t > b.maxT || !model.ValidTime(st)) && b.refused(ref, t, st) {
		return
	}
	if ref.Epoch() == 0 {
		if ref == RefDropped {
			b.dropped.Histograms++
			return
		}
		if ref = b.register(ref, t); ref == 0 {
			return
		}
	}
	b.oldest = min(b.oldest, t)
	c := &b.hists
	c.refs = append(c.refs, ref)
	c.ts = append(c.ts, t)
	c.sts = append(c.sts, st)
	c.hs = append(c.hs, h)
}

// Exemplar adds an exemplar of a series; an exemplar outside the time bounds
// is refused like a sample.
func (b *Batch) Exemplar(ref model.Ref, e model.Exemplar) {
	if (e.T < b.minT || e.T > b.maxT) && b.refused(ref, e.T, 0) {
		return
	}
	if ref.Epoch() == 0 {
		if ref == RefDropped {
			b.dropped.Exemplars++
			return
		}
		if ref = b.register(ref, e.T); ref == 0 {
			return
		}
	}
	b.exs.refs = append(b.exs.refs, ref)
	b.exs.es = append(b.exs.es, e)
}

// Metadata adds the metadata of a metric.
func (b *Batch) Metadata(metric string, m model.Metadata) {
	b.metas = append(b.metas, metaEntry{metric, m})
}

// Reject counts n samples that the door refused. series and t (Unix milliseconds,
// 0 if the time does not matter) name one of them.
func (b *Batch) Reject(reason Reason, series string, t int64, detail string, n int) {
	b.rejects.Add(reason, clip(series), t, detail, n)
}

// Rejected returns the number of samples refused so far, by the door or for their
// time.
func (b *Batch) Rejected() int {
	n := 0
	for i := range b.rejects.list {
		n += b.rejects.list[i].Count
	}
	return n
}

func (b *Batch) refuseTime(ref model.Ref, t, st int64) {
	reason := ReasonTooOld
	switch {
	case !model.ValidTime(t), !model.ValidTime(st):
		reason = ReasonBadTime
	case t > b.maxT:
		reason = ReasonTooNew
	}
	series, detail := "", ""
	if !b.rejects.Has(reason) {
		series = b.seriesName(ref)
		switch {
		case model.ValidTime(t) && !model.ValidTime(st):
			detail = boundsDetail("start timestamp", st)
		case reason == ReasonTooOld:
			detail = b.tooOldDetail(ref, t)
		default:
			detail = timeDetail(reason, t, b.minT, b.maxT, "")
		}
	}
	b.rejects.Add(reason, series, t, detail, 1)
}

// Samples returns the number of samples added and not refused.
func (b *Batch) Samples() int { return len(b.floats.ts) + len(b.hists.ts) }

// Commit applies the batch and returns when it is durable: all of it, except
// what was refused and is counted in the receipt. After an error the batch
// may be stored in part: sending it again is safe. The batch keeps its content
// until Reset.
func (b *Batch) Commit(ctx context.Context) (Receipt, error) {
	r := Receipt{
		Floats: len(b.floats.ts), Histograms: len(b.hists.ts), Exemplars: len(b.exs.es), Metadata: len(b.metas),
		Dropped: b.dropped,
	}
	clock := b.db.opts.Clock
	b.db.load.begin(clock.Now())
	defer func() { b.db.load.end(clock.Now(), b.Samples()) }()
	err := b.db.apply(ctx, b, &r)
	b.verifyRefs = errors.Is(err, ErrStaleRef)
	if err != nil {
		return Receipt{}, fmt.Errorf("commit of %d samples: %w", b.Samples(), err)
	}
	r.Rejected = b.rejects.List()
	b.db.count(b.door, &r)
	return r, nil
}
