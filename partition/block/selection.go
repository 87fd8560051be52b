package block

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"unsafe"
	"weak"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Selection holds the series of a block that satisfy some matchers, by ordinal and
// by identity. It is shared and must not be changed; it is safe for concurrent use.
type Selection struct {
	Ordinals []uint32         // ascending
	IDs      []model.Identity // of Ordinals
	// Sorted is set if the series are in the order of labels.Compare. The order
	// of a block is that one if every series has a metric name and no label
	// sorts before it.
	Sorted bool
	// Lost holds the errors of damaged parts whose series are missing.
	Lost []error

	block  *Block
	key    string                  // of the tenant and matchers, in the cache
	used   weak.Pointer[LabelSets] // possibly in use; guarded by usedMu
	usedMu sync.Mutex
}

// LabelSets are the labels of the series of a Selection, in its order. They are
// shared and must not be changed.
type LabelSets struct{ All []labels.Labels }

// Select returns the series of a tenant that satisfy all matchers, as Postings
// does. Blocks never change, so the cache holds the Selection itself. yield, if
// not nil, is called between batches of series, while no lock is held; it may
// block, and its error ends the call.
func (b *Block) Select(ctx context.Context, tenant uint32, ms []*match.Matcher, yield func() error) (*Selection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Selection{block: b, key: selectionKey(tenant, ms)}
	found, err := cached(b.cache, cacheKey{block: b.id, kind: cachedSelection, text: s.key}, func() (*Selection, int, error) {
		if err := s.find(ctx, tenant, ms, yield); err != nil {
			return nil, 0, err
		}
		if len(s.Lost) > 0 {
			return s, notCached, nil
		}
		return s, len(s.Ordinals)*int(unsafe.Sizeof(s.Ordinals[0])+unsafe.Sizeof(s.IDs[0])) + 2*len(s.key), nil
	})
	return found, err
}

// selectionKey returns the cache key of a tenant and matchers.
func selectionKey(tenant uint32, ms []*match.Matcher) string {
	var b strings.Builder
	b.WriteString(strconv.FormatUint(uint64(tenant), 10))
	for _, m := range ms {
		b.WriteByte(',')
		b.WriteString(m.String()) // values are quoted
	}
	return b.String()
}

// find fills the selection.
func (s *Selection) find(ctx context.Context, tenant uint32, ms []*match.Matcher, yield func() error) error {
	bm, err := s.block.Postings(ctx, tenant, ms)
	if err != nil {
		return err
	}
	ords := bm.ToArray()
	s.IDs = make([]model.Identity, 0, len(ords))
	r := s.block.labelReader()
	defer s.block.labelReaders.Put(r)
	for i, ord := range ords {
		if i%seriesCheck == 0 {
			if err := checkpoint(ctx, yield); err != nil {
				return err
			}
		}
		id, err := r.id(ord)
		if err != nil {
			if !errors.Is(err, format.ErrCorrupt) {
				return err
			}
			s.lose(err)
			continue
		}
		ords[len(s.IDs)] = ord
		s.IDs = append(s.IDs, id)
	}
	s.Ordinals = ords[:len(s.IDs)]
	if len(ords) > 0 {
		// Series without a name come first.
		row, err := r.row(ords[0])
		s.Sorted = err == nil && len(row.names) > 0 && row.names[0] == 0 && r.names[0].name == MetricName
	}
	return nil
}

// seriesCheck is the number of series listed between checkpoints.
const seriesCheck = 4096

// checkpoint returns the error of the context or, if there is none, yields.
func checkpoint(ctx context.Context, yield func() error) error {
	if err := ctx.Err(); err != nil || yield == nil {
		return err
	}
	return yield()
}

// lostMax bounds the damage that a Selection reports.
const lostMax = 100

func (s *Selection) lose(err error) {
	if len(s.Lost) < lostMax {
		s.Lost = append(s.Lost, err)
	}
}

// Labels returns the labels of all series. Labels that cannot be read are empty,
// and the error is the first *DamageError.
//
// A result too large for the cache is shared as long as any caller holds it, so
// that concurrent queries for the same large set of series use one copy. yield is
// as for Select.
func (s *Selection) Labels(ctx context.Context, yield func() error) (*LabelSets, error) {
	if sets := s.inUse(nil); sets != nil {
		return sets, nil
	}
	var damaged error
	sets, err := cached(s.block.cache, cacheKey{block: s.block.id, kind: cachedLabels, text: s.key}, func() (*LabelSets, int, error) {
		all, bytes, err := s.block.labelSets(ctx, s.Ordinals, yield)
		if errors.Is(err, format.ErrCorrupt) {
			damaged = err
			return &LabelSets{all}, notCached, nil
		}
		return &LabelSets{all}, bytes + len(s.key), err
	})
	if err != nil {
		return nil, err
	}
	if damaged == nil {
		sets = s.inUse(sets)
	}
	return sets, damaged
}

// inUse returns the label sets that another caller still holds. If there are none
// it records and returns made, which may be nil. Callers do not wait for one
// another to make them: the one that makes them may be waiting for a CPU slot that
// a waiting caller holds.
func (s *Selection) inUse(made *LabelSets) *LabelSets {
	s.usedMu.Lock()
	defer s.usedMu.Unlock()
	if sets := s.used.Value(); sets != nil {
		return sets
	}
	if made != nil {
		s.used = weak.Make(made)
	}
	return made
}

// LabelsAt returns the labels of the i-th series.
func (s *Selection) LabelsAt(i int) (labels.Labels, error) {
	r := s.block.labelReader()
	defer s.block.labelReaders.Put(r)
	return r.labels(s.Ordinals[i])
}

// labelSets returns the labels of series, whose ordinals must be ascending, and
// the bytes they take in memory.
func (b *Block) labelSets(ctx context.Context, ords []uint32, yield func() error) (all []labels.Labels, bytes int, damaged error) {
	r := b.labelReader()
	defer b.labelReaders.Put(r)
	all = make([]labels.Labels, len(ords))
	bytes = len(all) * int(unsafe.Sizeof(labels.Labels{}))
	var arena []byte
	for i, ord := range ords {
		if i%seriesCheck == 0 {
			if err := checkpoint(ctx, yield); err != nil {
				return nil, 0, err
			}
		}
		text, err := r.text(ord)
		if err != nil {
			if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
				return nil, 0, err
			}
			continue
		}
		if len(arena)+len(text) > cap(arena) {
			// Adjacent series have labels of about the same length.
			arena = make([]byte, 0, max(len(text), min(labelArenaBytes, (len(text)+8)*(len(ords)-i))))
			bytes += cap(arena)
		}
		from := len(arena)
		arena = append(arena, text...)
		all[i] = model.LabelsOf(arena[from:])
	}
	return all, bytes, damaged
}

// labelArenaBytes is the size of an allocation that label sets share.
const labelArenaBytes = 32 << 10
