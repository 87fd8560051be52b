package compaction

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// maxSeriesExemplars bounds the exemplars of a series in a merged block. The oldest
// are dropped.
const maxSeriesExemplars = 1 << 10

// mergeOutput writes the outputs of a merge for one partition: one block, or
// several in sequence.
type mergeOutput struct {
	merger  *merger
	key     block.Key
	w       *block.Writer // nil before the first series and between blocks
	ordinal uint32        // of the next block
	series  int           // in w

	gen    uint64 // generation of the current series
	begun  bool   // the current series is in w
	metric string // of the last series whose metadata was looked up
	used   map[metricKey]bool
}

// next goes on to the current series of the merger, which is begun in a block only when a
// writer is requested for it.
func (o *mergeOutput) next(gen uint64) { o.gen, o.begun = gen, false }

// writer returns the writer, positioned at the current series.
func (o *mergeOutput) writer() (*block.Writer, error) {
	if o.begun {
		return o.w, nil
	}
	m := o.merger
	if o.w != nil && m.plan.Level == block.L2 &&
		(o.series >= m.o.BlockSeries || o.w.Written()+int64(o.series)*indexBytes >= m.o.BlockBytes) {
		if err := o.finish(); err != nil {
			return nil, err
		}
	}
	if o.w == nil {
		meta := block.Meta{
			Key: o.key, MinGen: m.plan.MinGen, MaxGen: m.plan.MaxGen,
			Inputs: m.plan.Names(), Ordinal: o.ordinal,
		}
		w, err := block.Create(m.store, meta, m.o.Writer)
		if err != nil {
			return nil, err
		}
		o.w, o.used, o.metric = w, map[metricKey]bool{}, ""
		o.ordinal = w.Ordinal() + 1
	}
	if err := o.w.SeriesOf(m.current().it); err != nil {
		return nil, err
	}
	if err := o.w.Generation(o.gen); err != nil {
		return nil, err
	}
	o.begun = true
	o.series++
	return o.w, o.useMetadata()
}

// rows implements rowOutput.
func (o *mergeOutput) rows() (rowWriter, error) { return o.writer() }

// useMetadata marks the metadata of the metric of the current series as used.
func (o *mergeOutput) useMetadata() error {
	if len(o.merger.metadata.all) == 0 {
		return nil
	}
	tenant, metric, err := o.merger.current().it.Metric()
	if err != nil || metric == o.metric && o.series > 1 {
		return err
	}
	o.metric = metric
	for {
		o.markUsed(metricKey{tenant, metric})
		i := strings.LastIndexByte(metric, '_')
		if i < 0 || !slices.Contains(familySuffixes, metric[i:]) {
			return nil
		}
		metric = metric[:i]
	}
}

// familySuffixes are the suffixes that series names append to the name of their
// metric family.
var familySuffixes = []string{"_bucket", "_count", "_sum", "_total", "_created", "_info"}

// markUsed marks metadata as used, if there is any.
func (o *mergeOutput) markUsed(k metricKey) {
	if _, ok := o.merger.metadata.all[k]; ok {
		o.used[k] = true
		o.merger.metadata.used[k] = true
	}
}

// finish finishes the block, if one was begun.
func (o *mergeOutput) finish() error {
	if o.w == nil {
		return nil
	}
	for _, k := range slices.SortedFunc(maps.Keys(o.used), compareMetrics) {
		if err := o.w.Metadata(k.tenant, k.metric, o.merger.metadata.all[k]); err != nil {
			return err
		}
	}
	w := o.w
	info, err := w.Finish()
	if err != nil {
		return err
	}
	o.w, o.begun, o.series = nil, false, 0
	r := o.merger.result
	r.Add = append(r.Add, info)
	if info.Level != block.L0 {
		first, last, err := w.Ends()
		if err != nil {
			return err
		}
		r.Keys[info.Name] = manifest.KeyRange{First: manifest.SeriesKey(first.Tenant, first.Labels), Last: manifest.SeriesKey(last.Tenant, last.Labels)}
	}
	return nil
}

func (o *mergeOutput) abort() {
	if o.w != nil {
		o.w.Abort()
		o.w = nil
	}
}

// exemplars writes the exemplars of the current series that belong to an output, if
// the series has samples in it.
func (m *merger) exemplars(out *mergeOutput) error {
	if !out.begun {
		return nil
	}
	var all []model.Exemplar
	for _, in := range m.group {
		es, err := in.it.Exemplars()
		if err != nil {
			if !errors.Is(err, format.ErrCorrupt) {
				return err
			}
			m.result.Lost = append(m.result.Lost, err)
			continue
		}
		for _, e := range es {
			here := m.plan.Level == block.L0 || out.key.Range().Contains(e.T)
			if here && m.kept.Contains(e.T) && !in.deleted.Contains(e.T) {
				all = append(all, e)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b model.Exemplar) int { return cmp.Compare(a.T, b.T) })
	all = compactExemplars(all)
	if n := len(all) - maxSeriesExemplars; n > 0 {
		m.result.DroppedExemplars += n
		all = all[n:]
	}
	return out.w.Exemplars(all)
}

// compactExemplars removes duplicates from exemplars, which are sorted by time.
func compactExemplars(es []model.Exemplar) []model.Exemplar {
	kept := es[:0]
	for _, e := range es {
		known := false
		for i := len(kept) - 1; i >= 0 && kept[i].T == e.T && !known; i-- {
			known = kept[i].Equal(e)
		}
		if !known {
			kept = append(kept, e)
		}
	}
	return kept
}

// metricKey identifies a metric of a tenant.
type metricKey struct {
	tenant uint32
	metric string
}

func compareMetrics(a, b metricKey) int {
	return cmp.Or(cmp.Compare(a.tenant, b.tenant), strings.Compare(a.metric, b.metric))
}

// mergedMetadata is the metadata of all inputs. For each metric that of the newest
// input wins.
type mergedMetadata struct {
	all  map[metricKey]model.Metadata
	used map[metricKey]bool // by some output
}

// add adds the metadata of the next newer input.
func (n *mergedMetadata) add(b *block.Block) error {
	if n.all == nil {
		n.all, n.used = map[metricKey]model.Metadata{}, map[metricKey]bool{}
	}
	ms, err := b.Metadata()
	for _, m := range ms {
		n.all[metricKey{m.Tenant, m.Metric}] = m.Metadata
	}
	return err
}

// rest calls fn with the metrics that no output used, in unspecified order.
func (n *mergedMetadata) rest(fn func(metricKey)) {
	for k := range n.all {
		if !n.used[k] {
			fn(k)
		}
	}
}
