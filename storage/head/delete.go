package head

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// DeleteLocked takes the samples of a range out of a buffer, those of the
// tenant's series that match all matchers, and returns how many there were.
// Exemplars stay. What the samples held of the buffer's memory goes with the
// buffer.
func (s *Shard) DeleteLocked(b *Buffer, tenant uint32, ms []*labels.Matcher, tr model.TimeRange) (deleted int) {
	p := &b.shards[s.number]
	p.begin(s.slots)
	var all model.Samples
	sc := &p.scratch
	for _, slot := range newSelection(tenant, ms, nil).run(s) {
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

// startOver makes a series one without samples; its exemplars stay.
func (p *bufferShard) startOver(st *state) {
	if st.extra == 0 {
		*st = state{}
		return
	}
	x := p.extras.at(st.extra)
	*x = extra{exs: x.exs, nExs: x.nExs}
	*st = state{extra: st.extra}
}
