package files

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
	"tsdb/internal/transfer"
	"tsdb/storage"
)

// store is a door.Store that adds to a batch, so that the decoders of the doors read
// files. A ref is the number of a series, from 1. Aliases are known from batch to batch.
type store struct {
	out    *batch // set before lines are decoded
	refs   map[model.Hash]model.Ref
	series []*series
}

// backend is the door.Backend of a store.
type backend struct{ *store }

func newBackend() backend { return backend{&store{refs: map[model.Hash]model.Ref{}}} }

// Tenant implements door.Backend.
func (backend) Tenant() (uint32, error) { return model.DefaultTenant, nil }

// NewBatch implements door.Backend.
func (b backend) NewBatch(string, uint32) (door.Store, error) { return b.store, nil }

// Reset implements door.Store. What is in the batch stays there.
func (s *store) Reset() {
	if len(s.refs) >= maxNames {
		clear(s.refs)
		clear(s.series)
		s.series = s.series[:0]
	}
}

// LookupAll implements door.Store.
func (s *store) LookupAll(aliases []model.Hash, refs []model.Ref) {
	for i, a := range aliases {
		if i > 0 && a == aliases[i-1] { // files are often in the order of series
			refs[i] = refs[i-1]
		} else {
			refs[i] = s.refs[a]
		}
	}
}

// Resolve implements door.Store.
func (s *store) Resolve(alias model.Hash, ls labels.Labels) (model.Ref, error) {
	if ref := s.refs[alias]; ref != 0 {
		return ref, nil // the group has the series twice
	}
	s.series = append(s.series, &series{labels: ls.Copy()}) // it outlives the batch
	ref := model.Ref(len(s.series))
	s.refs[alias] = ref
	return ref, nil
}

// Drop implements door.Store.
func (s *store) Drop(model.Hash) model.Ref { return storage.RefDropped }

// Limit implements door.Store.
func (s *store) Limit(storage.SeriesLimits) {}

// Float implements door.Store.
func (s *store) Float(ref model.Ref, t, st int64, v float64) {
	s.out.float(s.series[ref-1], t, st, v)
}

// Histogram implements door.Store. No form of lines has histograms.
func (s *store) Histogram(model.Ref, int64, int64, model.Histogram) {}

// Exemplar implements door.Store.
func (s *store) Exemplar(ref model.Ref, e model.Exemplar) {
	of := s.series[ref-1]
	s.out.use(of)
	e.Labels = e.Labels.Copy()
	of.exemplars = append(of.exemplars, e)
}

// Metadata implements door.Store.
func (s *store) Metadata(metric string, m model.Metadata) {
	s.out.metas = append(s.out.metas, transfer.Item{Metric: metric, Metadata: m})
}

// Reject implements door.Store.
func (s *store) Reject(reason storage.Reason, series string, _ int64, detail string, n int) {
	s.out.refuse(reason, series, detail, n)
}

// Rejected implements door.Store. Lines are counted as samples, so no one compares it.
func (s *store) Rejected() int { return 0 }

// Newest implements door.Store.
func (s *store) Newest(model.Ref) (int64, bool) { return 0, false }

// Commit implements door.Store.
func (s *store) Commit(context.Context) (storage.Receipt, error) { return storage.Receipt{}, nil }
