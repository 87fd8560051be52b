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

// Selection is what a block answers to matchers: series, named by ordinal and by
// identity. It is shared and must not be changed; it is safe for concurrent use.
type Selection struct {
	Ordinals []uint32         // rising
	IDs      []model.Identity // as many
	// Sorted says that the series are in the order of labels.Compare, as is that
	// of a block where every series has a name and no label comes before it.
	Sorted bool
	// Lost holds the damage found, each of which cost series.
	Lost []error

	block  *Block
	key    string                  // of the question, in the cache
	used   weak.Pointer[LabelSets] // possibly in use; guarded by usedMu
	usedMu sync.Mutex
}

// LabelSets are the labels of the series of a Selection, in its order. They are
// shared and must not be changed.
type LabelSets struct{ All []labels.Labels }

// Select returns the series of a tenant that satisfy all matchers: see Postings.
// Blocks never change, so the cache holds the answer itself. yield, unless it is
// nil, is called between batches of series, while no lock is held; it may block,
// and its error ends the call.
func (b *Block) Select(ctx context.Context, tenant uint32, ms []*match.Matcher, yield func() error) (*Selection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Selection{block: b, key: questionOf(tenant, ms)}
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

// questionOf writes a tenant and matchers down.
func questionOf(tenant uint32, ms []*match.Matcher) string {
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

// Labels returns the labels of all series. Where labels cannot be read they are
// empty and the error is a *DamageError, the first of several.
//
// What is too large for the cache is there for others as long as somebody holds
// on to what Labels returned: many queries that ask the same at the same time,
// of all series there are, have one copy. yield is as for Select.
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

// inUse returns the label sets that somebody uses. If nobody does they are made,
// which may be nil, from now on. Nobody waits for others to make them: who makes
// them may have to wait for a core that who waits has.
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

// labelSets returns the labels of series whose ordinals rise, and how many bytes
// they take.
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
			// Series in a row have labels of about the same length.
			arena = make([]byte, 0, max(len(text), min(labelArenaBytes, (len(text)+8)*(len(ords)-i))))
			bytes += cap(arena)
		}
		from := len(arena)
		arena = append(arena, text...)
		all[i] = labelsOf(arena[from:])
	}
	return all, bytes, damaged
}

// labelArenaBytes is how many bytes of label sets share one allocation.
const labelArenaBytes = 32 << 10
