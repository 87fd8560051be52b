package appender

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/storage"
)

// DoorName is the name of the door in metrics and rules.
const DoorName = "scrape"

// Bounds of commits.
const (
	maxCommits = 64                     // at the same time; further scrapes wait
	busyLimit  = 10 * time.Second       // for which a commit is repeated
	busyPause  = 250 * time.Millisecond // before it is
)

// An Appendable makes appenders, which write through one door. It is safe for
// concurrent use.
type Appendable struct {
	shared  *door.Shared
	door    *door.Door[*decoder]
	commits chan struct{} // holds a value for each commit under way
	pool    sync.Pool     // of *appender

	stopped context.Context
	stop    context.CancelFunc
}

// New returns an Appendable of the doors.
func New(s *door.Shared) *Appendable {
	a := &Appendable{shared: s, commits: make(chan struct{}, maxCommits)}
	a.door = door.New(s, DoorName, door.Scrape, func() *decoder { return &decoder{} })
	a.stopped, a.stop = context.WithCancel(context.Background())
	return a
}

// Stop ends the commits under way and refuses further ones, with storage.ErrClosed.
func (a *Appendable) Stop() { a.stop() }

// MaxBytes returns the number of bytes that scrapes and requests may hold together while
// they are stored.
func (a *Appendable) MaxBytes() int64 { return a.shared.Budget.Limit() }

// AppenderV2 implements storage.AppendableV2.
func (a *Appendable) AppenderV2(ctx context.Context) promstorage.AppenderV2 {
	app, ok := a.pool.Get().(*appender)
	if !ok {
		app = &appender{owner: a, charge: a.shared.Budget.NewCharge()}
	}
	app.ctx = ctx
	return app
}

// An appender collects the samples of one scrape until they are committed.
type appender struct {
	owner *Appendable
	ctx   context.Context

	charge        *reqbody.Charge
	charged, used int64 // bytes

	rows      []row
	exemplars []exemplar.Exemplar // of the rows, one after the other
	hists     []model.Histogram   // of the rows
	index     rowIndex

	families   []family
	lastFamily string
}

// row is a sample.
type row struct {
	ref    uint64 // hash of the labels
	labels labels.Labels
	st, t  int64 // Unix milliseconds, st 0 = none
	v      float64
	hist   int32 // index + 1 in appender.hists, 0 for a float
	exs    int32 // index of the first exemplar
	numExs int32
	newest bool // left out if the series has a sample at this time or later
}

const (
	rowBytes      = 80 // of a row and its place in the index
	exemplarBytes = 64
	bucketBytes   = 8
	chargeStep    = 64 << 10
)

// family is the metadata of a metric family.
type family struct {
	name string
	meta metadata.Metadata
}

// maxPooledRows bounds the rows whose memory an appender keeps for the next scrape.
const maxPooledRows = 1 << 16

// Append implements storage.AppenderV2. It refuses a second value for a series and time,
// as Prometheus does, and fails the scrape if requests hold too much memory. Everything
// else that may be wrong with a sample is found when the scrape is committed, and
// counted then.
func (a *appender) Append(_ promstorage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o promstorage.AppendV2Options) (promstorage.SeriesRef, error) {
	r := row{ref: ls.Hash() | 1, labels: ls, st: st, t: t, v: v, exs: int32(len(a.exemplars)), numExs: int32(len(o.Exemplars)), newest: o.RejectOutOfOrder}
	if same, found := a.find(&r); found {
		if h != nil || fh != nil || same.hist != 0 || !equalBits(same.v, v) {
			return 0, promstorage.ErrDuplicateSampleForTimestamp
		}
		return promstorage.SeriesRef(r.ref), nil
	}
	bytes := int64(rowBytes + exemplarBytes*len(o.Exemplars))
	switch {
	case h != nil:
		bytes += int64(bucketBytes * (len(h.PositiveBuckets) + len(h.NegativeBuckets) + len(h.PositiveSpans) + len(h.NegativeSpans) + len(h.CustomValues)))
	case fh != nil:
		bytes += int64(bucketBytes * (len(fh.PositiveBuckets) + len(fh.NegativeBuckets) + len(fh.PositiveSpans) + len(fh.NegativeSpans) + len(fh.CustomValues)))
	}
	if a.used += bytes; a.used > a.charged {
		step := max(chargeStep, a.used-a.charged)
		if err := a.charge.Take(a.ctx, step); err != nil {
			return 0, err
		}
		a.charged += step
	}
	if h != nil || fh != nil {
		a.hists = append(a.hists, model.Histogram{Int: h, Float: fh})
		r.hist = int32(len(a.hists))
	}
	a.exemplars = append(a.exemplars, o.Exemplars...)
	a.rows = append(a.rows, r)
	a.index.add(a.rows)
	a.addMetadata(o.MetricFamilyName, o.Metadata)
	return promstorage.SeriesRef(r.ref), nil
}

// find returns the row of the series and time of r.
func (a *appender) find(r *row) (*row, bool) {
	for i := range a.index.of(r.ref) {
		if x := &a.rows[i]; x.ref == r.ref && x.t == r.t && labels.Equal(x.labels, r.labels) {
			return x, true
		}
	}
	return nil, false
}

// addMetadata adds the metadata of a family, whose series follow each other. The name
// is valid only during the call.
func (a *appender) addMetadata(name string, m metadata.Metadata) {
	// The loop ends the names of its own metrics with a byte that no name has.
	name = strings.TrimSuffix(name, "\xff")
	if name == "" || name == a.lastFamily || m.IsEmpty() {
		return
	}
	a.lastFamily = strings.Clone(name)
	a.families = append(a.families, family{a.lastFamily, m})
}

// Rollback implements storage.AppenderTransaction.
func (a *appender) Rollback() error {
	a.release()
	return nil
}

// Commit implements storage.AppenderTransaction: it stores what was appended, in one
// batch, and returns once that is durable, however long a large one takes. While the
// database cannot take writes, it tries again, up to a bound. An error means that
// nothing is stored, or a part.
func (a *appender) Commit() (err error) {
	defer a.release()
	if len(a.rows) == 0 {
		return nil
	}
	o := a.owner
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	defer context.AfterFunc(o.stopped, cancel)()
	defer func() {
		if err != nil && o.stopped.Err() != nil {
			err = fmt.Errorf("%w: scraping has ended", storage.ErrClosed)
		} else if err != nil {
			o.shared.RefusedRequest(DoorName, err)
		}
	}()
	select {
	case o.commits <- struct{}{}:
		defer func() { <-o.commits }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %d scrapes are being stored", storage.ErrBusy, maxCommits)
	}
	for end := o.shared.Clock.Now().Add(busyLimit); ; {
		err = a.store(ctx)
		if !errors.Is(err, storage.ErrBusy) || o.shared.Clock.Now().After(end) {
			return err
		}
		select {
		case <-o.shared.Clock.After(busyPause):
		case <-ctx.Done():
			return err
		}
	}
}

// store stores the rows once.
func (a *appender) store(ctx context.Context) (err error) {
	defer panics.Catch(&err)
	q, err := a.owner.door.Acquire()
	if err != nil {
		return err
	}
	defer q.Release()
	q.Decoder.scrape = a
	_, err = q.Store(ctx)
	return err
}

// release empties the appender for the next scrape. It may be called again.
func (a *appender) release() {
	if a.ctx == nil {
		return
	}
	a.charge.Release()
	a.charged, a.used, a.ctx = 0, 0, nil
	if cap(a.rows) > maxPooledRows {
		return
	}
	clear(a.rows)
	clear(a.exemplars)
	clear(a.hists)
	clear(a.families)
	a.rows, a.exemplars, a.hists, a.families = a.rows[:0], a.exemplars[:0], a.hists[:0], a.families[:0]
	a.index.reset()
	a.lastFamily = ""
	a.owner.pool.Put(a)
}
