package door

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/storage"
)

// numbers is a decoder of requests that are lists of numbers: each is a series i
// with one sample. Series divisible by 10 have a label too many, those divisible
// by 25 have no samples.
type numbers struct {
	n          int
	group      []int
	added      []int // series in the order of their samples
	zero       int   // series with the ref zero
	groupsMade []int // sizes
}

func (d *numbers) Decode(b *Batch) error {
	d.group, d.added, d.zero, d.groupsMade = d.group[:0], d.added[:0], 0, nil
	for i := range d.n {
		d.group = append(d.group, i)
		b.Queue(AliasOf(b.Seed, binary.BigEndian.AppendUint64(nil, uint64(i))))
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	return nil
}

func (d *numbers) Labels(k int, set *LabelSet) (int, error) {
	i := d.group[k]
	set.Add(MetricName, fmt.Appendf(nil, "m%d", i))
	if i%25 == 0 {
		return 0, nil
	}
	if i%10 == 0 {
		set.Add([]byte("a"), []byte("x"))
	}
	return 1, nil
}

func (d *numbers) AddSamples(b *Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		b.Offered.Floats++
		d.added = append(d.added, d.group[k])
		if refs[k] == 0 {
			d.zero++
			continue
		}
		b.Float(refs[k], 1, 0, float64(d.group[k]))
	}
	return nil
}

func (d *numbers) NextGroup() {
	d.groupsMade = append(d.groupsMade, len(d.group))
	d.group = d.group[:0]
}

func (d *numbers) Release() {}

// store is a Store that knows a series after Resolve.
type store struct {
	known   map[model.Hash]model.Ref
	floats  int
	rejects storage.Rejections
	stale   int // commits that fail with ErrStaleRef
	drops   int // series
}

func (s *store) Reset() { s.floats = 0; s.rejects.Reset() }
func (s *store) LookupAll(aliases []model.Hash, refs []model.Ref) {
	for i, a := range aliases {
		refs[i] = s.known[a]
	}
}
func (s *store) Resolve(alias model.Hash, _ labels.Labels) (model.Ref, error) {
	s.known[alias] = model.Ref(len(s.known) + 1)
	return s.known[alias], nil
}
func (s *store) Drop(model.Hash) model.Ref                          { s.drops++; return 0 }
func (s *store) Limit(storage.SeriesLimits)                         {}
func (s *store) Float(model.Ref, int64, int64, float64)             { s.floats++ }
func (s *store) Histogram(model.Ref, int64, int64, model.Histogram) {}
func (s *store) Exemplar(model.Ref, model.Exemplar)                 {}
func (s *store) Metadata(string, model.Metadata)                    {}
func (s *store) Reject(reason storage.Reason, series string, t int64, detail string, n int) {
	s.rejects.Add(reason, series, t, detail, n)
}
func (s *store) Rejected() int                  { return len(s.rejects.List()) }
func (s *store) Newest(model.Ref) (int64, bool) { return 0, false }
func (s *store) Commit(context.Context) (storage.Receipt, error) {
	if s.stale > 0 {
		s.stale--
		return storage.Receipt{}, storage.ErrStaleRef
	}
	return storage.Receipt{Floats: s.floats, Rejected: s.rejects.List()}, nil
}

// backend is a database of one store whose tenant can change.
type backend struct {
	store   *store
	tenant  uint32
	batches int
}

func (b *backend) Tenant() (uint32, error) { return b.tenant, nil }
func (b *backend) NewBatch(string, uint32) (Store, error) {
	b.batches++
	return b.store, nil
}

// TestEverySeriesOfAGroupIsAddedInOrder: samples are added in the order of the
// request, whether their series are known, new, refused or empty.
func TestEverySeriesOfAGroupIsAddedInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 7, GroupSeries - 1, GroupSeries, GroupSeries + 1, 3*GroupSeries + 5} {
		back := &backend{store: &store{known: map[model.Hash]model.Ref{}}}
		d := New(NewShared(Options{Backend: back, Limits: Limits{Labels: 1}, Seed: 1}), "numbers", 9, func() *numbers { return &numbers{} })
		refused, empty := 0, 0
		for i := range n {
			switch {
			case i%25 == 0:
				empty++
			case i%10 == 0:
				refused++
			}
		}
		for range 2 { // with new and with known series
			back.store.stale = 1
			q, err := d.Acquire()
			if err != nil {
				t.Fatal(err)
			}
			q.Decoder.n = n
			r, err := q.Store(t.Context())
			if err != nil || r.Floats != n-refused-empty || q.Batch.Offered.Floats != n || q.Decoder.zero != refused+empty {
				t.Fatalf("%d series: %+v, %v, offered %d, zero %d", n, r, err, q.Batch.Offered.Floats, q.Decoder.zero)
			}
			if (len(r.Rejected) == 1) != (refused > 0) || refused > 0 && (r.Rejected[0].Count != refused || r.Rejected[0].Reason != storage.ReasonLimit) {
				t.Errorf("%d series: rejected %+v, want %d", n, r.Rejected, refused)
			}
			for i, got := range q.Decoder.added {
				if got != i {
					t.Fatalf("sample %d is of series %d", i, got)
				}
			}
			for i, size := range q.Decoder.groupsMade {
				if size > GroupSeries || size < GroupSeries && i < len(q.Decoder.groupsMade)-1 {
					t.Errorf("groups of %v series", q.Decoder.groupsMade)
				}
			}
			q.Release()
		}
	}
}

// TestStaleRequestsAreBounded: a request is decoded again at most StaleRetries times.
func TestStaleRequestsAreBounded(t *testing.T) {
	back := &backend{store: &store{known: map[model.Hash]model.Ref{}, stale: 1 << 30}}
	q, err := New(NewShared(Options{Backend: back}), "numbers", 9, func() *numbers { return &numbers{n: 1} }).Acquire()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Store(t.Context()); !errors.Is(err, storage.ErrStaleRef) || back.store.stale != 1<<30-1-StaleRetries {
		t.Errorf("%v after %d commits", err, 1<<30-back.store.stale)
	}
}

// TestRequestsOfAnotherTenantGetAnotherBatch: a pooled batch is not used for
// another tenant, and the aliases of two tenants differ.
func TestRequestsOfAnotherTenantGetAnotherBatch(t *testing.T) {
	back := &backend{store: &store{known: map[model.Hash]model.Ref{}}}
	d := New(NewShared(Options{Backend: back, Seed: 1}), "numbers", 9, func() *numbers { return &numbers{} })
	var seeds []uint64
	for _, tenant := range []uint32{0, 7} {
		back.tenant = tenant
		q, err := d.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, q.Batch.Seed)
		q.Release()
	}
	if back.batches != 2 || seeds[0] == seeds[1] {
		t.Errorf("%d batches, seeds %x", back.batches, seeds)
	}
}
