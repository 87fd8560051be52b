package query

import (
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query/admission"
	"tsdb/query/source"
	"tsdb/storage"
)

// Charge is the memory of an answer other than a query's, such as a list of series
// or label values. It counts towards the memory limit of one query and that of all
// queries.
type Charge struct{ mem *admission.Tracker }

// Charge returns an empty charge. The caller closes it.
func (e *Engine) Charge() *Charge {
	return &Charge{e.memory.NewTracker(admission.Limits{Bytes: e.limits.Bytes})}
}

// Close releases all charged memory.
func (c *Charge) Close() { c.mem.Close() }

// Take charges bytes before they are allocated.
func (c *Charge) Take(bytes int64) error { return c.mem.Reserve(bytes) }

// Selections charges the series selected through a querier, including their labels.
// It is called before the first Select.
func (c *Charge) Selections(q promstorage.Querier) {
	if ours, ok := q.(*source.Querier); ok {
		ours.SetMemory(c.mem)
	}
}

// View charges the series selected through a view, excluding their labels. It is
// called before the first Select.
func (c *Charge) View(v *storage.View) {
	v.SetReadOptions(storage.ReadOptions{Reserve: c.mem.ReserveSeries})
}

// Series charges the labels of series selected through a view.
func (c *Charge) Series(set *storage.SeriesSet) error {
	return c.mem.CountSeries(set.Len(), func(i int) labels.Labels { return set.At(i).Labels })
}

// Texts charges a list of strings that will be merged with others.
func (c *Charge) Texts(list []string) error {
	bytes := 2 * stringBytes * int64(len(list))
	for _, s := range list {
		bytes += int64(len(s))
	}
	return c.Take(bytes)
}

// Exemplars charges a list of exemplars.
func (c *Charge) Exemplars(found []exemplar.QueryResult) error {
	bytes := int64(0)
	for _, r := range found {
		bytes += exemplarSeriesBytes + int64(r.SeriesLabels.ByteSize())
		for _, x := range r.Exemplars {
			bytes += exemplarBytes + int64(x.Labels.ByteSize())
		}
	}
	return c.Take(bytes)
}

// The memory of a string and of an exemplar, excluding their texts. An exemplar is
// held twice: in the storage's form and in Prometheus'.
const (
	stringBytes         = 16
	exemplarSeriesBytes = 96
	exemplarBytes       = 96
)
