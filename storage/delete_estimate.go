package storage

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
)

// DeleteEstimate is what a deletion concerns. Series are counted, samples and bytes
// are estimated from the directories of blocks.
type DeleteEstimate struct {
	Series  uint64 `json:"series"`  // distinct ones, with samples in memory or in blocks
	Samples uint64 `json:"samples"` // raw
	Bytes   int64  `json:"bytes"`   // of all tiers; they come back when blocks are rewritten
	// Tiers has memory first, then raw, then rollups, those with something to delete.
	Tiers []DeleteTierEstimate `json:"tiers"`
	// Expired reports that in a part of the range only rollups are left, which lose
	// every bucket that the range touches.
	Expired bool `json:"expired"`
}

// DeleteTierEstimate is the part of a DeleteEstimate in one tier.
type DeleteTierEstimate struct {
	Tier   string `json:"tier"`   // "head", "raw", or a rollup
	Series uint64 `json:"series"` // distinct ones
	Rows   uint64 `json:"rows"`   // samples, or buckets of a rollup
	Bytes  int64  `json:"bytes"`
}

// sampledSeries bounds the series of a block whose chunks are looked up; the others
// are taken to have as many samples.
const sampledSeries = 1024

// deleteEstimator collects an estimate.
type deleteEstimator struct {
	v     *View
	r     DeleteRequest
	sets  [][]*match.Matcher
	tiers map[string]*DeleteTierEstimate
	ids   map[string][]uint64 // by tier: halves of identities, as in countSeries
}

// estimateDelete estimates what a deletion concerns.
func (db *DB) estimateDelete(ctx context.Context, r DeleteRequest) (DeleteEstimate, error) {
	v, err := db.View()
	if err != nil {
		return DeleteEstimate{}, err
	}
	defer v.Release()
	e := deleteEstimator{v: v, r: r, tiers: map[string]*DeleteTierEstimate{}, ids: map[string][]uint64{}}
	for _, ms := range r.Sets {
		compiled, err := match.Compiled(ms)
		if err != nil {
			return DeleteEstimate{}, err
		}
		e.sets = append(e.sets, compiled)
	}
	return e.run(ctx)
}

func (e *deleteEstimator) run(ctx context.Context) (DeleteEstimate, error) {
	st := e.v.st
	result := DeleteEstimate{Tiers: []DeleteTierEstimate{}}
	if err := e.head(ctx); err != nil {
		return result, err
	}
	if tr := st.visible(e.r.Range); !tr.Empty() {
		for _, entry := range st.overlapping(tr) {
			if err := e.raw(ctx, entry, tr); err != nil {
				return result, err
			}
		}
	}
	for _, entry := range st.blocks.Rollups() {
		if !entry.TimeRange().Overlaps(touched(entry.Tier, e.r.Range)) || entry.Block() == nil {
			continue
		}
		if _, err := e.rollup(ctx, entry, []model.TimeRange{e.r.Range}, true); err != nil {
			return result, err
		}
	}
	parts, err := st.expiredParts(ctx, e.r.Range)
	if err != nil {
		return result, err
	}
	for _, p := range parts {
		if p.Block() == nil || result.Expired {
			continue
		}
		found, err := e.rollup(ctx, p.Entry, p.ranges, false)
		if err != nil {
			return result, err
		}
		result.Expired = found
	}
	result.Series = distinct(slices.Concat(e.ids["head"], e.ids[block.Raw.String()]))
	for _, name := range append([]string{"head", block.Raw.String()}, rollupNames()...) {
		if t := e.tiers[name]; t != nil {
			t.Series = distinct(e.ids[name])
			result.Tiers = append(result.Tiers, *t)
			result.Bytes += t.Bytes
			if name == "head" || name == block.Raw.String() {
				result.Samples += t.Rows
			}
		}
	}
	return result, nil
}

func rollupNames() (names []string) {
	for _, t := range block.Rollups {
		names = append(names, t.String())
	}
	return names
}

func distinct(ids []uint64) uint64 {
	slices.Sort(ids)
	return uint64(len(slices.Compact(ids)))
}

func (e *deleteEstimator) add(tier string, rows uint64, bytes int64) {
	t := e.tiers[tier]
	if t == nil {
		t = &DeleteTierEstimate{Tier: tier}
		e.tiers[tier] = t
	}
	t.Rows, t.Bytes = t.Rows+rows, t.Bytes+bytes
}

// head adds the samples in memory.
func (e *deleteEstimator) head(ctx context.Context) error {
	buffers := e.v.st.buffersIn(e.r.Range)
	h := e.v.views.head
	var refs []model.Ref
	for _, ms := range e.sets {
		more, err := h.Select(ctx, e.r.Tenant, ms, e.r.Range, buffers...)
		if err != nil {
			return err
		}
		refs = append(refs, more...)
	}
	slices.Sort(refs)
	refs = slices.Compact(refs)
	if len(refs) == 0 || len(buffers) == 0 {
		return nil
	}
	ids := make([]model.Identity, len(refs))
	h.IDs(refs, ids)
	rows, perSample := 0, 0.0
	for _, b := range buffers {
		st := b.Stats()
		perSample += float64(st.Bytes) / float64(max(st.Samples, 1)) / float64(len(buffers))
		for _, ref := range refs {
			rows += b.Estimate(ref, e.r.Range)
		}
	}
	for _, id := range ids {
		e.ids["head"] = append(e.ids["head"], id.Hi)
	}
	e.add("head", uint64(rows), int64(math.Ceil(float64(rows)*perSample)))
	return nil
}

// matching returns the ordinals of a block's series that match.
func (e *deleteEstimator) matching(ctx context.Context, b *block.Block) ([]uint32, error) {
	all := roaring.New()
	for _, ms := range e.sets {
		bm, err := b.Postings(ctx, e.r.Tenant, ms)
		if err != nil {
			return nil, err
		}
		all.Or(bm)
	}
	return all.ToArray(), nil
}

// raw adds the samples of a block in a range. What cannot be read is not counted.
func (e *deleteEstimator) raw(ctx context.Context, entry *blockset.Entry, tr model.TimeRange) error {
	b := entry.Block()
	if b == nil {
		return nil
	}
	ords, err := e.matching(ctx, b)
	if err != nil {
		return ignoreDamage(err)
	}
	deletions, err := e.v.st.blocks.Deletions(ctx, entry, e.v.st.tombstones)
	if err != nil {
		return ignoreDamage(err)
	}
	kept, all, _, err := b.Present(ctx, ords, tr, deletions, nil)
	if err != nil {
		return ignoreDamage(err)
	}
	if !all {
		n := 0
		for i, ord := range ords {
			if kept[i] {
				ords[n] = ord
				n++
			}
		}
		ords = ords[:n]
	}
	if len(ords) == 0 {
		return nil
	}
	return e.addSeries(entry, ords, tr, deletions)
}

// addSeries adds the rows of series of a block in a range that no deletion covers.
func (e *deleteEstimator) addSeries(entry *blockset.Entry, ords []uint32, tr model.TimeRange, deletions *block.Deletions) (err error) {
	b, tier := entry.Block(), entry.Tier.String()
	for _, ord := range ords {
		if id, err := b.ID(ord); err == nil {
			e.ids[tier] = append(e.ids[tier], id.Hi)
		}
	}
	step := (len(ords) + sampledSeries - 1) / sampledSeries
	var chunks []block.Chunk
	var deleted block.DeletedRanges
	rows, looked := 0.0, 0
	for i := 0; i < len(ords); i += step {
		if chunks, err = b.Chunks(ords[i], tr, chunks[:0]); err != nil && ignoreDamage(err) != nil {
			return err
		}
		deleted = deletions.Ranges(ords[i], deleted)
		for _, c := range chunks {
			if c.Kind == block.KindStandIn {
				c.Count = 1 // as in Info.Samples
			}
			if span := model.Inclusive(c.MinTime, c.MaxTime); !deleted.Covers(span.Intersect(tr)) {
				rows += float64(c.Count) * share(span, tr)
			}
		}
		looked++
	}
	rows *= float64(len(ords)) / float64(looked)
	e.add(tier, uint64(math.Ceil(rows)), int64(math.Ceil(rows*float64(entry.Size)/float64(max(entry.Samples, 1)))))
	return nil
}

// rollup finds the series of a rollup block in ranges and, if count is true, adds their
// buckets.
func (e *deleteEstimator) rollup(ctx context.Context, entry *blockset.Entry, ranges []model.TimeRange, count bool) (found bool, err error) {
	b := entry.Block()
	ords, err := e.matching(ctx, b)
	if err != nil || len(ords) == 0 {
		return false, ignoreDamage(err)
	}
	for _, tr := range ranges {
		tr = touched(entry.Tier, tr)
		kept, all, _, err := b.Present(ctx, ords, tr, nil, nil)
		if err != nil {
			return false, ignoreDamage(err)
		}
		var there []uint32
		for i, ord := range ords {
			if all || kept[i] {
				there = append(there, ord)
			}
		}
		if len(there) == 0 {
			continue
		}
		found = true
		if count {
			if err := e.addSeries(entry, there, tr, nil); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// touched returns the ends of the buckets of a tier that a range touches, as a range.
func touched(tier block.Tier, tr model.TimeRange) model.TimeRange {
	if r := tier.Ms(); tr.Max < model.MaxTime-r {
		tr.Max += (r - (tr.Max-1)%r) % r
	}
	return tr
}

// share returns the part of a span, which is not empty, that lies in a range.
func share(span, tr model.TimeRange) float64 {
	in := span.Intersect(tr)
	if in.Empty() {
		return 0
	}
	return (float64(in.Max) - float64(in.Min)) / (float64(span.Max) - float64(span.Min))
}

func ignoreDamage(err error) error {
	if errors.Is(err, format.ErrCorrupt) {
		return nil
	}
	return err
}

// selectorsText writes sets of matchers in PromQL, shortened.
func selectorsText(sets [][]*labels.Matcher) string {
	const most = 1024
	var b strings.Builder
	for i, ms := range sets {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('{')
		for k, m := range ms {
			if k > 0 {
				b.WriteByte(',')
			}
			b.WriteString(m.String())
		}
		b.WriteByte('}')
		if b.Len() > most {
			break
		}
	}
	return clip(b.String())
}
