package head

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// small is a minimal database of buffers that can be cut under load.
type small struct {
	h    *Head
	gate sync.RWMutex // as the apply gate: writers read, a cut writes
	now  testView

	// reading is held for reading while a view is in use. Acquiring it for writing
	// is a barrier: later readers have a newer view.
	reading sync.RWMutex

	mu    sync.Mutex
	acked map[string]int64 // by series: time of the last sample written
}

// testView is a reader's view. blocks holds the samples of released buffers, by
// series; the map is immutable.
type testView struct {
	blocks         map[string]model.Samples
	frozen, active *Buffer
}

func (d *small) view() testView {
	d.gate.RLock()
	defer d.gate.RUnlock()
	return d.now
}

// waitForReaders waits for all readers that hold a view now.
func (d *small) waitForReaders() {
	d.reading.Lock()
	defer d.reading.Unlock()
}

// write appends a sample to a series, found by alias, as a batch does.
func (d *small) write(ls labels.Labels, alias model.Hash, t int64, v float64) {
	ref, ok := d.h.Alias(alias)
	for {
		if !ok {
			ref, _ = d.h.Resolve(0, ls)
			d.h.SetAlias(alias, ref)
		}
		d.gate.RLock()
		s, b := d.h.Shard(ref.Shard()), d.now.active
		s.Lock()
		undefined, stale := s.CheckLocked(b.Generation(), []model.Ref{ref}, nil)
		if stale == 0 {
			s.MarkDefinedLocked(b.Generation(), undefined)
			s.AppendFloatsLocked(b, []uint32{ref.Slot(), ref.Slot()}, []int64{t, t - 1}, []float64{v, v}, nil)
		}
		s.Unlock()
		d.gate.RUnlock()
		if stale == 0 {
			break
		}
		ok = false
	}
	d.mu.Lock()
	d.acked[ls.String()] = t
	d.mu.Unlock()
}

// cut begins generation gen, moves the samples of the previous one to blocks and
// evicts idle series. Readers keep the buffers of the previous view.
func (d *small) cut(t *testing.T, gen uint64) (retired *Buffer) {
	next := d.h.NewBuffer(gen)
	d.gate.Lock()
	frozen := d.now.active
	frozen.Freeze()
	d.now.frozen, d.now.active = frozen, next
	blocks := maps.Clone(d.now.blocks)
	d.gate.Unlock()
	refs, _ := d.h.Sorted(frozen)
	if int64(len(refs)) != frozen.Stats().Series {
		t.Errorf("%d series in order, %d in the buffer", len(refs), frozen.Stats().Series)
	}
	var last labels.Labels
	for i, ref := range refs {
		_, _, ls, ok := d.h.Labels(ref)
		if !ok || i > 0 && labels.Compare(last, ls) >= 0 {
			t.Errorf("series %v after %v: not in order or gone", ls, last)
		}
		last = ls
		var s, merged model.Samples
		frozen.Samples(ref, model.AllTime, &s)
		old := blocks[ls.String()]
		model.Merge(&merged, &old, &s)
		blocks[ls.String()] = merged
	}
	d.gate.Lock()
	d.now.blocks, d.now.frozen = blocks, nil
	d.gate.Unlock()
	return frozen
}

// Writers, readers, cuts and evictions run at the same time. Readers check what
// must hold at any moment: samples acknowledged before a reader began are
// present, once, in order, and no series has a value of another.
func TestConcurrentUse(t *testing.T) {
	d := &small{h: New(Options{AliasBytesMax: 1 << 18}), acked: make(map[string]int64)}
	d.now.active = d.h.NewBuffer(1)
	d.now.blocks = make(map[string]model.Samples)
	const writers, often = 2, 40
	done := make(chan struct{})
	var writing, wg sync.WaitGroup
	labelsOf := func(w, k int) labels.Labels {
		return labels.FromStrings("__name__", "m", "k", fmt.Sprint(k), "w", fmt.Sprint(w))
	}
	for w := range writers {
		writing.Add(1)
		go func() {
			defer writing.Done()
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range 1500 {
				k := r.IntN(often)
				if i%7 == 0 {
					k = often + i%210 // seldom: it becomes idle and returns
				}
				d.write(labelsOf(w, k), model.Hash{Hi: uint64(w+1) << 40, Lo: uint64(k)}, int64(2*i+2), float64(k*2+w))
			}
		}()
	}
	for id := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(9, uint64(id)))
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				w, k := r.IntN(writers), r.IntN(often+210)
				d.checkSeries(t, labelsOf(w, k), float64(k*2+w))
				if n%16 == 0 {
					d.reading.RLock()
					if _, err := d.h.LabelValues(context.Background(), 0, "k", nil, model.AllTime, 0, d.view().active); err != nil {
						t.Error(err)
					}
					d.reading.RUnlock()
					d.h.Stats()
				}
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		var held []*Buffer // a buffer is released when no reader can use it
		for gen := uint64(2); ; gen++ {
			select {
			case <-done:
				return
			default:
			}
			held = append(held, d.cut(t, gen))
			if len(held) > 3 {
				d.waitForReaders()
				held[0].Release()
				held = held[1:]
			}
			d.h.Evict(gen)
		}
	}()
	writing.Wait()
	close(done)
	wg.Wait()
}

func (d *small) checkSeries(t *testing.T, ls labels.Labels, value float64) {
	d.reading.RLock()
	defer d.reading.RUnlock()
	name := ls.String()
	d.mu.Lock()
	acked := d.acked[name]
	d.mu.Unlock()
	v := d.view()
	var ms []*labels.Matcher
	ls.Range(func(l labels.Label) { ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value)) })
	refs, err := d.h.Select(context.Background(), 0, compiled(ms...), model.AllTime)
	if err != nil || len(refs) > 1 {
		t.Errorf("%v: %d series, %v", ls, len(refs), err)
		return
	}
	s := v.blocks[name]
	for _, ref := range refs {
		for _, b := range []*Buffer{v.frozen, v.active} {
			if b == nil {
				continue
			}
			var part, merged model.Samples
			b.Samples(ref, model.AllTime, &part)
			model.Merge(&merged, &s, &part)
			s = merged
		}
	}
	for i := range s.T {
		if s.V[i] != value || i > 0 && s.T[i] <= s.T[i-1] {
			t.Errorf("%v: sample %d is %d %v", ls, i, s.T[i], s.V[i])
			return
		}
	}
	if s.Len() == 0 && acked > 0 || s.Len() > 0 && s.T[s.Len()-1] < acked {
		t.Errorf("%v: sample %d was acknowledged, %d samples seen", ls, acked, s.Len())
	}
}
