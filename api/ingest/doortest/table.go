package doortest

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/storage"
)

// Table is a batch with a minimal lookup, so that a benchmark measures the door.
type Table struct {
	slots []tableSlot
	next  model.Ref
	n     int
	sum   float64
}

type tableSlot struct {
	hash model.Hash
	ref  model.Ref
}

func NewTable(n int) *Table { return &Table{slots: make([]tableSlot, 1<<bitsFor(2*n))} }

func bitsFor(n int) int {
	b := 1
	for 1<<b < n {
		b++
	}
	return b
}

func (b *Table) slot(h model.Hash) *tableSlot {
	for i := h.Lo; ; i++ {
		s := &b.slots[i&uint64(len(b.slots)-1)]
		if s.hash == h || s.ref == 0 {
			return s
		}
	}
}

func (b *Table) Reset() { b.n = 0 }
func (b *Table) LookupAll(aliases []model.Hash, refs []model.Ref) {
	for i, a := range aliases {
		refs[i] = b.slot(a).ref
	}
}
func (b *Table) Resolve(alias model.Hash, _ labels.Labels) (model.Ref, error) {
	b.next++
	*b.slot(alias) = tableSlot{alias, b.next}
	return b.next, nil
}
func (b *Table) Drop(model.Hash) model.Ref                          { panic("a series is dropped") }
func (b *Table) Limit(storage.SeriesLimits)                         {}
func (b *Table) Float(_ model.Ref, _, _ int64, v float64)           { b.n++; b.sum += v }
func (b *Table) Histogram(model.Ref, int64, int64, model.Histogram) { b.n++ }
func (b *Table) Exemplar(model.Ref, model.Exemplar)                 {}
func (b *Table) Metadata(string, model.Metadata)                    {}
func (b *Table) Reject(r storage.Reason, s string, _ int64, d string, _ int) {
	panic(string(r) + s + d)
}
func (b *Table) Rejected() int                  { return 0 }
func (b *Table) Newest(model.Ref) (int64, bool) { return 0, false }
func (b *Table) Commit(context.Context) (storage.Receipt, error) {
	return storage.Receipt{Floats: b.n}, nil
}
