package query

import (
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query/admission"
	"tsdb/query/source"
	"tsdb/storage"
)

// Charge is the memory of an answer that is not of a query, such as a list of series
// or of label values. It counts for the limit of one query's memory and for that of
// all queries.
type Charge struct{ mem *admission.Tracker }

// Charge returns an empty charge; the caller closes it.
func (e *Engine) Charge() *Charge {
	return &Charge{e.memory.NewTracker(admission.Limits{Bytes: e.limits.Bytes})}
}

// Close releases everything.
func (c *Charge) Close() { c.mem.Close() }

// Take adds bytes before they are allocated.
func (c *Charge) Take(bytes int64) error { return c.mem.Reserve(bytes) }

// Selections makes the series that are selected through a querier, with their
// labels, count. It is called before the first Select.
func (c *Charge) Selections(q promstorage.Querier) {
	if ours, ok := q.(*source.Querier); ok {
		ours.SetMemory(c.mem)
	}
}

// View makes the series that are selected through a view count, without their
// labels. It is called before the first Select.
func (c *Charge) View(v *storage.View) {
	v.SetReadOptions(storage.ReadOptions{Reserve: c.mem.ReserveSeries})
}

// Series adds the labels of series that were selected through a view.
func (c *Charge) Series(set *storage.SeriesSet) error {
	return c.mem.CountSeries(set.Len(), func(i int) labels.Labels { return set.At(i).Labels })
}

// Texts adds a list of strings that will be merged with others.
func (c *Charge) Texts(list []string) error {
	bytes := 2 * stringBytes * int64(len(list))
	for _, s := range list {
		bytes += int64(len(s))
	}
	return c.Take(bytes)
}

// Exemplars adds a list of exemplars.
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

// The memory of a string and of an exemplar besides their texts; an exemplar is
// there as the storage has it and as Prometheus does.
const (
	stringBytes         = 16
	exemplarSeriesBytes = 96
	exemplarBytes       = 96
)
