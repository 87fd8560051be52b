// Package doortest has stores and messages for tests of doors.
package doortest

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
	"tsdb/storage"
)

// Backend is a database of one store.
type Backend struct{ Store door.Store }

// Tenant implements door.Backend.
func (b Backend) Tenant() (uint32, error) { return model.DefaultTenant, nil }

// NewBatch implements door.Backend.
func (b Backend) NewBatch(string, uint32) (door.Store, error) { return b.Store, nil }

// Memory is a batch that records its calls, for tests of decoders and of rare
// database errors.
type Memory struct {
	Known      map[model.Hash]model.Ref
	Series     map[string]model.Ref
	names      []string // by ref - 1
	Samples    []Sample
	Histograms []Histogram
	Exemplars  []Exemplar
	MetadataOf map[string]model.Metadata
	Rejects    storage.Rejections
	Dropped    storage.Dropped
	Limits     storage.SeriesLimits
	Resolves   int // calls

	OnCommit func() error // nil = works
	Commits  int
}

type Sample struct {
	Series string
	T, ST  int64
	V      float64
}

type Histogram struct {
	Series string
	T, ST  int64
	H      model.Histogram
}

type Exemplar struct {
	Series string
	E      model.Exemplar
}

func NewMemory() *Memory {
	return &Memory{Known: map[model.Hash]model.Ref{}, Series: map[string]model.Ref{}, MetadataOf: map[string]model.Metadata{}}
}

func (m *Memory) Reset() {
	m.Samples, m.Histograms, m.Exemplars = m.Samples[:0], m.Histograms[:0], m.Exemplars[:0]
	clear(m.MetadataOf)
	m.Rejects.Reset()
	m.Dropped = storage.Dropped{}
}

func (m *Memory) LookupAll(aliases []model.Hash, refs []model.Ref) {
	if len(aliases) != len(refs) {
		panic("BUG: aliases and refs differ in number")
	}
	for i, a := range aliases {
		refs[i] = m.Known[a]
	}
}

func (m *Memory) Resolve(alias model.Hash, ls labels.Labels) (model.Ref, error) {
	m.Resolves++
	name := ls.String()
	ref, ok := m.Series[name]
	if !ok {
		m.names = append(m.names, name)
		ref = model.Ref(len(m.names))
		m.Series[name] = ref
	}
	m.Known[alias] = ref
	return ref, nil
}

func (m *Memory) Drop(alias model.Hash) model.Ref {
	m.Known[alias] = storage.RefDropped
	return storage.RefDropped
}

func (m *Memory) Limit(l storage.SeriesLimits) { m.Limits = l }

func (m *Memory) Float(ref model.Ref, t, st int64, v float64) {
	if ref == storage.RefDropped {
		m.Dropped.Floats++
		return
	}
	m.Samples = append(m.Samples, Sample{m.names[ref-1], t, st, v})
}

func (m *Memory) Histogram(ref model.Ref, t, st int64, h model.Histogram) {
	if ref == storage.RefDropped {
		m.Dropped.Histograms++
		return
	}
	m.Histograms = append(m.Histograms, Histogram{m.names[ref-1], t, st, h})
}

func (m *Memory) Exemplar(ref model.Ref, e model.Exemplar) {
	if ref == storage.RefDropped {
		m.Dropped.Exemplars++
		return
	}
	m.Exemplars = append(m.Exemplars, Exemplar{m.names[ref-1], e})
}

func (m *Memory) Metadata(metric string, md model.Metadata) { m.MetadataOf[metric] = md }

func (m *Memory) Reject(reason storage.Reason, series string, t int64, detail string, n int) {
	m.Rejects.Add(reason, series, t, detail, n)
}

func (m *Memory) Rejected() int {
	n := 0
	for _, r := range m.Rejects.List() {
		n += r.Count
	}
	return n
}

// Newest implements door.Store: samples of earlier commits are not remembered.
func (m *Memory) Newest(ref model.Ref) (t int64, ok bool) {
	for _, s := range m.Samples {
		if ref <= model.Ref(len(m.names)) && s.Series == m.names[ref-1] && (!ok || s.T > t) {
			t, ok = s.T, true
		}
	}
	return t, ok
}

func (m *Memory) Commit(context.Context) (storage.Receipt, error) {
	m.Commits++
	if m.OnCommit != nil {
		if err := m.OnCommit(); err != nil {
			return storage.Receipt{}, err
		}
	}
	return storage.Receipt{Floats: len(m.Samples), Histograms: len(m.Histograms), Exemplars: len(m.Exemplars), Metadata: len(m.MetadataOf), Dropped: m.Dropped, Rejected: m.Rejects.List()}, nil
}
