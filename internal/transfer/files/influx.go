package files

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/influx"
	"tsdb/internal/model"
	"tsdb/storage"
)

// influxParser reads line protocol with the decoder of the doors, which adds to an
// influxStore in the place of the database.
type influxParser struct {
	lines *influx.Lines
	store *influxStore
	text  []byte
}

func newInfluxParser(o Options) (*influxParser, error) {
	p := &influxParser{store: &influxStore{}}
	var err error
	p.lines, err = influx.NewLines(influxBackend{p.store}, influx.LinesOptions{Precision: o.Precision, DB: o.DB, DBLabel: o.DBLabel, Now: o.Now})
	return p, err
}

func (p *influxParser) line(b []byte, _ *batch) error {
	p.text = append(append(p.text, b...), '\n')
	return nil
}

func (p *influxParser) flush(out *batch) error {
	p.store.out = out
	_, err := p.lines.Decode(context.Background(), p.text)
	p.text = p.text[:0]
	return err
}

type influxBackend struct{ store *influxStore }

func (influxBackend) Tenant() (uint32, error)                       { return model.DefaultTenant, nil }
func (b influxBackend) NewBatch(string, uint32) (door.Store, error) { return b.store, nil }

// influxStore is a door.Store that adds to a batch. A ref is the number of a series of
// the batch, from 1.
type influxStore struct {
	out    *batch
	refs   map[model.Hash]model.Ref
	series []*series
}

func (s *influxStore) Reset() {
	s.refs, s.series = map[model.Hash]model.Ref{}, s.series[:0]
}

func (s *influxStore) LookupAll(aliases []model.Hash, refs []model.Ref) {
	for i, a := range aliases {
		refs[i] = s.refs[a]
	}
}

func (s *influxStore) Resolve(alias model.Hash, ls labels.Labels) (model.Ref, error) {
	if ref := s.refs[alias]; ref != 0 {
		return ref, nil // the group has the series twice
	}
	s.series = append(s.series, s.out.add(nil, ls))
	ref := model.Ref(len(s.series))
	s.refs[alias] = ref
	return ref, nil
}

func (s *influxStore) Drop(model.Hash) model.Ref  { return storage.RefDropped }
func (s *influxStore) Limit(storage.SeriesLimits) {}

func (s *influxStore) Float(ref model.Ref, t, _ int64, v float64) {
	s.out.float(s.series[ref-1], t, v)
}

func (s *influxStore) Histogram(model.Ref, int64, int64, model.Histogram) {}
func (s *influxStore) Exemplar(model.Ref, model.Exemplar)                 {}
func (s *influxStore) Metadata(string, model.Metadata)                    {}

func (s *influxStore) Reject(reason storage.Reason, series string, _ int64, detail string, n int) {
	s.out.refuse(reason, series, detail, n)
}

// Rejected implements door.Store. Lines are counted as samples, so no one compares it.
func (s *influxStore) Rejected() int                  { return 0 }
func (s *influxStore) Newest(model.Ref) (int64, bool) { return 0, false }

func (s *influxStore) Commit(context.Context) (storage.Receipt, error) { return storage.Receipt{}, nil }
