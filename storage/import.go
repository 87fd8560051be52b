package storage

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/storage/head"
)

// Defaults and bounds of a run of an import.
const (
	importBytes     = 256 << 20
	importBytesMin  = 1 << 20
	importBytesMax  = 4 << 30
	importExemplars = 64 // of one series in one run
)

// ImportOptions are the options of an Import. The zero value is the default.
type ImportOptions struct {
	Tenant uint32
	// RunBytes is the memory that the samples of a run may take before Full reports
	// true; 0 = 256 MiB.
	RunBytes int64
}

// Import brings samples in from outside beside the log. They are collected in memory
// and published in runs: a run is durable and visible as a whole, or not at all. It
// wins over all samples that were written before it was published, and loses to those
// written later. An Import belongs to one goroutine; several may exist.
type Import struct {
	db *DB
	o  ImportOptions

	head     *head.Head
	buf      *head.Buffer
	metadata loggedMetadata
	days     map[int64]int // samples added, by the start of their day
	rejects  Rejections
	own      *policy // of Keep; nil = that of the database
	limits   importLimits
	lo, hi   int64 // times that are taken of every series, both inclusive

	paced         importPace
	frozen        bool // a publication has begun
	floats, hists int
	slots         []uint32 // scratch
	sinceFull     int      // series added since memory was last measured
	bytes         int64    // then
}

// ImportReceipt is the result of a run.
type ImportReceipt struct {
	Floats, Histograms int // taken, repetitions included
	Series             int
	Blocks             int
	Bytes              int64 // of the blocks
	// Direct is the number of blocks that have their final form: their days held no
	// samples of these series.
	Direct   int
	Rejected []Rejection
}

// Samples returns the number of samples taken.
func (r *ImportReceipt) Samples() int { return r.Floats + r.Histograms }

// NewImport returns an Import without samples. Its Close releases memory.
func (db *DB) NewImport(o ImportOptions) *Import {
	setDefault(&o.RunBytes, importBytes)
	o.RunBytes = min(max(o.RunBytes, importBytesMin), importBytesMax)
	im := &Import{db: db, o: o}
	im.begin()
	return im
}

// Keep bounds the times of samples that are taken by another retention than that of the
// database, which moves no floor for it. It must be called before the first Add.
func (im *Import) Keep(r Retention) error {
	p, err := newPolicy(r)
	if err == nil {
		im.own = p
		im.begin()
	}
	return err
}

// begin starts an empty run.
func (im *Import) begin() {
	im.head = head.New(head.Options{IdentitySeed: im.db.manifest.State().Seed, ExemplarsMax: importExemplars})
	im.buf = im.head.NewBuffer(0)
	im.metadata = loggedMetadata{}
	im.days = map[int64]int{}
	im.rejects = Rejections{}
	im.frozen, im.floats, im.hists, im.sinceFull, im.bytes = false, 0, 0, 0, 0
	if im.limits.policy = im.own; im.own == nil {
		im.limits.policy = im.db.policy.Load()
	}
	im.limits.begin(im.db)
	im.lo, im.hi = im.limits.bounds(im.db.opts.MaxFutureMs)
}

// Bounds returns the oldest and the newest time of samples that are taken of every series
// now, both inclusive, in Unix milliseconds. What bounds the oldest is retention; by rules older
// samples of some series may be taken.
func (im *Import) Bounds() (oldest, newest int64) { return im.lo, im.hi }

// OldestSetting names the setting that bounds the oldest of Bounds.
func (im *Import) OldestSetting() string {
	return im.db.settingOf(im.lo, im.limits.policy.shortestRaw())
}

// Bounds is Import.Bounds with the retention of the database.
func (db *DB) Bounds() (oldest, newest int64) { return db.timeBounds(db.now()) }

// Add adds samples of a series, with times in any order. Of equal times the last is
// kept, as by Batch. Samples at times that are not taken, and histograms that
// contradict themselves, are left out and counted. The labels must be sorted, without
// empty values, and have been checked; nothing is retained.
//
// While writers are busy it pauses now and then; the error is then that of ctx.
func (im *Import) Add(ctx context.Context, ls labels.Labels, s *model.Samples) error {
	if err := im.pace(ctx); err != nil {
		return err
	}
	if im.frozen {
		panic("BUG: samples added to a run whose publication has failed")
	}
	if err := checkOrder(ls); err != nil {
		return err
	}
	if s.Len() == 0 {
		return nil
	}
	ref, _ := im.head.Resolve(im.o.Tenant, ls)
	if ref == 0 {
		im.rejects.Add(ReasonLimit, clip(ls.String()), 0, "a label is too long, or the run has too many series", s.Len())
		return nil
	}
	limit := im.limitOf(ls, s.T)
	for i := 0; i < s.Len(); {
		if why := im.refusal(s, i, limit.oldest); why != "" {
			im.refuse(why, ls, s, i, limit)
			i++
			continue
		}
		histogram := !s.HistogramAt(i).IsZero()
		j := i + 1
		for j < s.Len() && s.HistogramAt(j).IsZero() != histogram && im.refusal(s, j, limit.oldest) == "" {
			j++
		}
		im.append(ref, s, i, j, histogram)
		i = j
	}
	im.sinceFull += s.Len() + 64
	return nil
}

// limitOf returns the limit of a series with samples at some times.
func (im *Import) limitOf(ls labels.Labels, ts []int64) lateLimit {
	if im.limits.differ() {
		for _, t := range ts {
			if t < im.lo {
				return im.limits.of(ls)
			}
		}
	}
	return lateLimit{oldest: im.lo}
}

// refusal returns why row i is not taken, "" if it is.
func (im *Import) refusal(s *model.Samples, i int, oldest int64) Reason {
	t := s.T[i]
	switch {
	case !model.ValidTime(t), !model.ValidTime(s.StartAt(i)):
		return ReasonBadTime
	case t < oldest:
		return ReasonTooOld
	case t > im.hi:
		return ReasonTooNew
	}
	if len(s.H) > 0 && !s.H[i].IsZero() && !s.H[i].IsStale() && s.H[i].Validate() != nil {
		return ReasonBadHistogram
	}
	return ""
}

func (im *Import) refuse(why Reason, ls labels.Labels, s *model.Samples, i int, limit lateLimit) {
	series, detail := "", ""
	if !im.rejects.Has(why) {
		series = clip(ls.String())
		switch {
		case why == ReasonBadHistogram:
			detail = s.H[i].Validate().Error()
		case why == ReasonBadTime && model.ValidTime(s.T[i]):
			detail = boundsDetail("start timestamp", s.StartAt(i))
		case why == ReasonTooOld:
			detail = limit.detail(im.db, im.limits.policy, s.T[i], im.hi)
		default:
			detail = timeDetail(why, s.T[i], im.lo, im.hi, im.OldestSetting())
		}
	}
	im.rejects.Add(why, series, s.T[i], detail, 1)
}

// append adds the rows i ≤ k < j, of one kind, to the buffer.
func (im *Import) append(ref model.Ref, s *model.Samples, i, j int, histogram bool) {
	n := j - i
	if cap(im.slots) < n {
		im.slots = make([]uint32, n+n/4)
	}
	slots := im.slots[:n]
	for k := range slots {
		slots[k] = ref.Slot()
	}
	var sts []int64
	if len(s.ST) > 0 {
		sts = s.ST[i:j]
	}
	shard := im.head.Shard(ref.Shard())
	shard.Lock()
	if histogram {
		shard.AppendHistogramsLocked(im.buf, slots, s.T[i:j], sts, s.H[i:j])
		im.hists += n
	} else {
		shard.AppendFloatsLocked(im.buf, slots, s.T[i:j], s.V[i:j], sts)
		im.floats += n
	}
	shard.Unlock()
	for k := i; k < j; {
		day := block.Raw.PartitionRange(s.T[k])
		from := k
		for k++; k < j && day.Contains(s.T[k]); k++ {
		}
		im.days[day.Min] += k - from
	}
}

// Exemplar adds an exemplar of a series; it is stored if the series has samples in
// the run.
func (im *Import) Exemplar(ls labels.Labels, e model.Exemplar) error {
	if err := checkOrder(ls); err != nil {
		return err
	}
	if e.T < im.limitOf(ls, []int64{e.T}).oldest || e.T > im.hi {
		im.rejects.Add(ReasonTooOld, clip(ls.String()), e.T, "exemplar at a time that is not taken", 1)
		return nil
	}
	ref, _ := im.head.Resolve(im.o.Tenant, ls)
	if ref == 0 {
		return nil // its samples are counted
	}
	shard := im.head.Shard(ref.Shard())
	shard.Lock()
	defer shard.Unlock()
	shard.AppendExemplarsLocked(im.buf, []uint32{ref.Slot()}, []model.Exemplar{e})
	return nil
}

// Metadata adds the metadata of a metric.
func (im *Import) Metadata(metric string, m model.Metadata) {
	im.metadata.set(im.o.Tenant, metric, m)
}

// Reject counts n samples that the caller refused. series names one of them.
func (im *Import) Reject(reason Reason, series, detail string, n int) {
	im.rejects.Add(reason, clip(series), 0, detail, n)
}

// Full reports whether the run should be published.
func (im *Import) Full() bool {
	const measureEvery = 1 << 18 // samples
	if im.sinceFull >= measureEvery || im.bytes == 0 {
		im.bytes, im.sinceFull = im.buf.Stats().Bytes+im.head.Stats().Bytes, 0
	}
	return im.bytes >= im.o.RunBytes
}

// Close releases the memory of a run that was not published.
func (im *Import) Close() {
	im.buf.Freeze()
	im.buf.Release()
	im.head, im.buf = nil, nil
}

// receipt counts the run.
func (im *Import) receipt() ImportReceipt {
	return ImportReceipt{
		Floats: im.floats, Histograms: im.hists, Series: int(im.buf.Stats().Series), Rejected: im.rejects.List(),
	}
}

func (r *ImportReceipt) add(b block.Info) {
	r.Blocks++
	r.Bytes += b.Size
	if b.Level == block.L2 {
		r.Direct++
	}
}
