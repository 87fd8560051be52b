package head

import (
	"math"

	"tsdb/internal/match"
	"tsdb/internal/model"
)

// DeleteLocked deletes the samples in a range of the tenant's series that match
// all matchers, which must be compiled, from a buffer and returns their number.
// Exemplars are kept, and the series remains in the buffer's count.
func (s *Shard) DeleteLocked(b *Buffer, tenant uint32, ms []*match.Matcher, tr model.TimeRange) (deleted int) {
	p := &b.shards[s.number]
	p.begin(s.slots)
	var all model.Samples
	sc := &p.scratch
	q := newSelection(tenant, ms, model.AllTime, nil)
	q.locked = true
	for _, slot := range q.run(s) {
		if !p.present.has(slot) {
			continue
		}
		st := p.states.at(slot)
		if st.n == 0 {
			continue
		}
		all.Reset()
		p.read(st, model.AllTime, &all, sc)
		lo, hi := all.Search(tr.Min), all.Search(tr.Max)
		if lo >= hi {
			continue
		}
		deleted += hi - lo
		p.startOver(st)
		for i := range all.T {
			if i < lo || i >= hi {
				p.extend(st, all.T[i], all.StartAt(i), all.V[i], all.HistogramAt(i))
			}
		}
	}
	p.finish(-deleted, math.MaxInt64, math.MinInt64)
	return deleted
}

// startOver removes all samples of a series and frees their memory, but keeps its
// exemplars.
func (p *bufferShard) startOver(st *state) {
	if st.first != 0 {
		p.scratch.bytes = p.gatherOpen(p.scratch.bytes[:0], st)
		p.discard(st.first, len(p.scratch.bytes)-int(st.pos))
	}
	if st.extra == 0 {
		*st = state{}
		return
	}
	x := p.extras.at(st.extra)
	if st.flags&flagRich != 0 {
		p.discard(x.side, int(x.sideBytes))
	}
	if x.nSegs > 0 {
		p.forget(lateRun{segs: x.segs, nSegs: x.nSegs})
	}
	for _, r := range p.runs.get(x.runs, int(x.nRuns)) {
		p.forget(r)
	}
	if x.nRuns > 0 {
		p.runs.release(x.runs, int(x.nRuns))
	}
	if x.nLate > 0 {
		p.dropLate(x)
	}
	*x = extra{exs: x.exs, nExs: x.nExs}
	*st = state{extra: st.extra}
}
