package door

import (
	"errors"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"tsdb/internal/model"
	"tsdb/storage"
)

// GroupSeries is the number of series that are looked up together: enough for the
// cache misses of the lookups to overlap, few enough that a request of empty
// series costs no memory.
const GroupSeries = 1024

// A Decoder decodes the requests of one protocol. The request is set in its fields
// before Request.Store is called. Its methods are called from one goroutine.
type Decoder interface {
	// Decode walks the request, checks its structure, queues its series with
	// Batch.Queue and calls Batch.FlushIfFull where a group may end. It is
	// called again, from the start, if a series was evicted before the commit.
	// If it returns an error, none of the request is stored.
	Decode(b *Batch) error

	// Labels adds the labels of series k of the group to a set, and returns the
	// number of its samples, histograms and exemplars. It is called if the alias
	// is not known, or to describe the series of a refused sample. A
	// *storage.Reject refuses the series; any other error is Decode's. A series
	// without samples is neither resolved nor refused.
	Labels(k int, set *LabelSet) (samples int, err error)

	// AddSamples decodes the samples of the series from ≤ k < to of the group
	// and adds them to the batch. refs[k] is the ref of series k, zero if it was
	// refused: its samples are decoded and counted in Batch.Offered, not added.
	AddSamples(b *Batch, refs []model.Ref, from, to int) error

	// NextGroup forgets the series of the group. The next one queued is series
	// 0.
	NextGroup()

	// Release drops the references to the request.
	Release()
}

// A Refuser is a Decoder that words and counts refused series itself.
type Refuser interface {
	// Refuse counts the n samples of series k as refused.
	Refuse(b *Batch, k int, bad *storage.Reject, n int)
}

// A Confirmer is a Decoder that is told when its request has been stored.
type Confirmer interface{ Confirm() }

// Counts holds numbers of samples.
type Counts struct{ Floats, Histograms, Exemplars int }

// A Batch collects the series and samples of a request. It belongs to a Request.
type Batch struct {
	Seed    uint64   // of the aliases, see AliasOf
	Offered Counts   // samples of the request, including those refused
	Labels  LabelSet // for the Decoder, which may use it in AddSamples

	out     Store
	decoder Decoder
	refuser Refuser // nil = the batch words refusals

	aliases []model.Hash // of the group
	refs    []model.Ref

	relabel []*relabel.Config // of the request
	names   *metadataNames    // of metadata after relabelling; nil = those that are sent
	builder *labels.Builder   // nil until series are relabelled
}

func (b *Batch) init(out Store, d Decoder) {
	b.out, b.decoder = out, d
	b.refuser, _ = d.(Refuser)
}

// release drops the memory of a large group.
func (b *Batch) release() {
	b.Labels.release()
	if cap(b.aliases) > 4*GroupSeries {
		b.aliases, b.refs = nil, nil
	}
}

// Queue adds a series to the group.
func (b *Batch) Queue(alias model.Hash) { b.aliases = append(b.aliases, alias) }

// FlushIfFull looks up the series of a full group and adds their samples. Decode
// calls it where the group may end.
func (b *Batch) FlushIfFull() error {
	if len(b.aliases) < GroupSeries {
		return nil
	}
	return b.flush()
}

// flush looks up the series of the group and adds their samples to the batch.
func (b *Batch) flush() error {
	n := len(b.aliases)
	if n == 0 {
		return nil
	}
	if cap(b.refs) < n {
		b.refs = make([]model.Ref, max(n+n/4, GroupSeries))
	}
	refs := b.refs[:n]
	b.out.LookupAll(b.aliases, refs)
	from := 0
	for k := range refs {
		if refs[k] != 0 {
			continue
		}
		if err := b.decoder.AddSamples(b, refs, from, k); err != nil {
			return err
		}
		from = k
		var err error
		if refs[k], err = b.resolve(k); err != nil {
			return err
		}
	}
	if err := b.decoder.AddSamples(b, refs, from, n); err != nil {
		return err
	}
	b.aliases = b.aliases[:0]
	b.decoder.NextGroup()
	return nil
}

// resolve returns the ref of a series whose alias is unknown, zero if it is
// refused, which is then counted, or has no samples.
func (b *Batch) resolve(k int) (model.Ref, error) {
	set := &b.Labels
	set.Reset()
	n, err := b.decoder.Labels(k, set)
	if err == nil {
		if n == 0 {
			return 0, nil // there is nothing to store and nothing to refuse
		}
		ls, bad := set.build()
		if bad == nil && len(b.relabel) > 0 {
			keep := false
			if ls, keep, bad = b.relabelled(ls); !keep {
				return b.out.Drop(b.aliases[k]), nil
			}
		}
		if bad == nil {
			return b.out.Resolve(b.aliases[k], ls)
		}
		err = bad
	}
	var bad *storage.Reject
	if !errors.As(err, &bad) {
		return 0, err
	}
	if b.refuser != nil {
		b.refuser.Refuse(b, k, bad, n)
		return 0, nil
	}
	series := ""
	if bad.Detail != "" {
		series = set.String()
	}
	b.out.Reject(bad.Reason, series, 0, bad.Detail, n)
	return 0, nil
}

// RefuseSample counts a refused sample of series k, with the series as example. It
// overwrites Labels.
func (b *Batch) RefuseSample(k int, reason storage.Reason, t int64, why string) error {
	series := ""
	if b.Labels.WantsDetail(reason) {
		b.Labels.Reset()
		if _, err := b.decoder.Labels(k, &b.Labels); err != nil {
			return err
		}
		b.Labels.Sort()
		series = b.Labels.String()
	}
	b.out.Reject(reason, series, t, why, 1)
	return nil
}

// Reject counts n refused samples; detail describes one of them.
func (b *Batch) Reject(reason storage.Reason, series, detail string, n int) {
	b.out.Reject(reason, series, 0, detail, n)
}

// Rejected returns the number of samples refused so far. A Decoder that counts
// something other than samples compares it before and after it adds one.
func (b *Batch) Rejected() int { return b.out.Rejected() }

// Float adds a float sample. t and st are Unix milliseconds, st 0 if there is no
// start timestamp.
func (b *Batch) Float(ref model.Ref, t, st int64, v float64) { b.out.Float(ref, t, st, v) }

// Histogram adds a native histogram, which the batch owns from now on.
func (b *Batch) Histogram(ref model.Ref, t, st int64, h model.Histogram) {
	b.out.Histogram(ref, t, st, h)
}

// Exemplar adds an exemplar.
func (b *Batch) Exemplar(ref model.Ref, e model.Exemplar) { b.out.Exemplar(ref, e) }

// Newest returns the time of the newest sample of a series that is in memory, in Unix
// milliseconds, false if there is none.
func (b *Batch) Newest(ref model.Ref) (int64, bool) { return b.out.Newest(ref) }

// Metadata adds the metadata of a metric, under the name that relabelling gives it where
// that is known. Metadata without a valid metric name are ignored.
func (b *Batch) Metadata(metric []byte, m model.Metadata) {
	name := ValidPrefix(metric)
	switch {
	case len(name) == 0, len(name) != len(metric), len(name) > b.Labels.limits.ValueBytes:
	case b.names == nil:
		b.out.Metadata(name, m)
	default:
		for _, renamed := range b.names.of(name, m.Type) {
			b.out.Metadata(renamed, m)
		}
	}
}
