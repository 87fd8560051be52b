package head

import (
	"math"

	"tsdb/internal/model"
)

// AppendFloatsLocked writes floats to a buffer: ts[i], vs[i] and, if sts is not
// empty, the start timestamp sts[i] (0 = none) to the series in slots[i], all
// checked by CheckLocked under the same lock. It returns the number of samples
// that replaced another value at their key. The times must be less than
// math.MaxInt64. The slices are not retained.
func (s *Shard) AppendFloatsLocked(b *Buffer, slots []uint32, ts []int64, vs []float64, sts []int64) (replacements int) {
	p := &b.shards[s.number]
	p.begin(s.slots)
	if p.deleting != nil {
		p.markFirst(slots)
	}
	ts, vs = ts[:len(slots)], vs[:len(slots)]
	news := 0
	minT, maxT := int64(math.MaxInt64), int64(math.MinInt64)
	for i, slot := range slots {
		t, v, start := ts[i], vs[i], int64(0)
		if len(sts) > 0 {
			start = sts[i]
		}
		st := p.states.at(slot)
		minT, maxT = min(minT, t), max(maxT, t)
		switch {
		case st.n == 0:
			p.note(slot)
			p.extend(st, t, start, v, model.Histogram{})
		case t <= st.t:
			switch p.insert(st, t, start, v, model.Histogram{}) {
			case replaced:
				replacements++
			case added:
				news++
			}
			continue
		case st.n < segmentSamples && start == 0 && st.flags&flagRich == 0 && uint64(t-st.t) <= maxStep:
			p.append(st, t, math.Float64bits(v))
		default:
			p.extend(st, t, start, v, model.Histogram{})
		}
		news++
	}
	p.finish(news, minT, maxT)
	return replacements
}

// AppendHistogramsLocked is AppendFloatsLocked for histograms. They are encoded and
// not retained. sts may be empty.
func (s *Shard) AppendHistogramsLocked(b *Buffer, slots []uint32, ts, sts []int64, hs []model.Histogram) (replacements int) {
	p := &b.shards[s.number]
	p.begin(s.slots)
	if p.deleting != nil {
		p.markFirst(slots)
	}
	news := 0
	minT, maxT := int64(math.MaxInt64), int64(math.MinInt64)
	for i, slot := range slots {
		t, start := ts[i], int64(0)
		if len(sts) > 0 {
			start = sts[i]
		}
		st := p.states.at(slot)
		minT, maxT = min(minT, t), max(maxT, t)
		if st.n > 0 && t <= st.t {
			switch p.insert(st, t, start, 0, hs[i]) {
			case replaced:
				replacements++
			case added:
				news++
			}
			continue
		}
		p.note(slot)
		p.extend(st, t, start, 0, hs[i])
		news++
	}
	p.finish(news, minT, maxT)
	return replacements
}
