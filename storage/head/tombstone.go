package head

import (
	"slices"

	"tsdb/internal/model"
)

// A tombstone is a deletion in a series of a buffer: it hides the samples of a range that
// were there when it was made. Those of the main run need no count: whatever is
// appended later is newer than all that is there, so the range ends after the last
// sample. Late samples come at any time; those of the runs that were sealed before
// are hidden. What the open late buffer holds in the range is removed at once.
type tombstone struct {
	minT, maxT int64  // the range [minT, maxT), Unix milliseconds; maxT ≤ the last time + 1
	runs       uint32 // sealed late runs below this one are hidden; ≤ extra.nRuns
	_          [3]uint32
}

// mainRun stands for the main run where the number of a late run is asked for.
const mainRun = -1

// hides reports whether the tombstone hides samples of a late run, or of mainRun.
func (m *tombstone) hides(run int) bool { return int(m.runs) > run }

// tombstonesOf returns the tombstones of a series, by rising start of their ranges.
func (p *bufferShard) tombstonesOf(x *extra) []tombstone {
	return p.tombstones.get(x.tombs, int(x.nTombs))
}

// addTombstone hides the samples that a series has in a range, which overlaps that from
// the first to the last of them.
func (p *bufferShard) addTombstone(st *state, tr model.TimeRange) {
	x := p.extraOf(st)
	tr.Max = min(tr.Max, st.t+1)
	p.removeLate(x, tr)
	m := tombstone{minT: tr.Min, maxT: tr.Max, runs: x.nRuns}
	kept := append(p.scratch.tombstones[:0], p.tombstonesOf(x)...)
	kept = slices.DeleteFunc(kept, func(o tombstone) bool {
		if o.runs != m.runs && (o.minT < m.minT || o.maxT > m.maxT) || o.maxT < m.minT || o.minT > m.maxT {
			return false
		}
		// It lies within m, or it hides the same runs and touches m.
		m.minT, m.maxT = min(m.minT, o.minT), max(m.maxT, o.maxT)
		return true
	})
	i, _ := slices.BinarySearchFunc(kept, m.minT, func(o tombstone, t int64) int {
		switch {
		case o.minT < t:
			return -1
		case o.minT > t:
			return 1
		}
		return 0
	})
	p.scratch.tombstones = slices.Insert(kept, i, m)
	p.setTombstones(x, p.scratch.tombstones)
}

// setTombstones replaces the tombstones of a series.
func (p *bufferShard) setTombstones(x *extra, ms []tombstone) {
	if n := int(x.nTombs); n > 0 && (len(ms) == 0 || p.tombstones.room(n) != p.tombstones.room(len(ms))) {
		p.tombstones.release(x.tombs, n)
		x.nTombs = 0
	}
	if x.nTombs == 0 && len(ms) > 0 {
		x.tombs = p.tombstones.alloc(len(ms))
	}
	x.nTombs = uint32(len(ms))
	copy(p.tombstones.get(x.tombs, len(ms)), ms)
}

// removeLate removes the samples of a range from the open late buffer.
func (p *bufferShard) removeLate(x *extra, tr model.TimeRange) {
	if x.nLate == 0 {
		return
	}
	late := slices.Clone(p.late.get(x.late, int(x.nLate)))
	kept := late[:0]
	for _, l := range late {
		switch {
		case !tr.Contains(l.t):
			kept = append(kept, l)
		case l.bytes > 0:
			p.space.release(l.hist, int(l.bytes))
		}
	}
	if len(kept) == int(x.nLate) {
		return
	}
	p.late.release(x.late, int(x.nLate))
	if x.nLate = uint32(len(kept)); x.nLate > 0 {
		x.late = p.late.alloc(len(kept))
		copy(p.late.get(x.late, len(kept)), kept)
	}
}

// dropDeleted removes from dst, from index at on, the samples that tombstones hide: those of
// a late run, or of mainRun.
func (p *bufferShard) dropDeleted(dst *model.Samples, at int, x *extra, run int) {
	if x.nTombs == 0 || dst.Len() == at {
		return
	}
	to, from := at, at
	for _, m := range p.tombstonesOf(x) {
		if !m.hides(run) {
			continue
		}
		rest := dst.Slice(from, dst.Len())
		lo := from + rest.Search(m.minT)
		hi := from + rest.Search(m.maxT)
		if hi <= lo {
			continue
		}
		to = dst.Move(to, from, lo)
		from = hi
	}
	if from > at {
		dst.Truncate(dst.Move(to, from, dst.Len()))
	}
}

// isDeleted reports whether tombstones hide all of a range in a late run, or in mainRun.
func (p *bufferShard) isDeleted(x *extra, tr model.TimeRange, run int) bool {
	for _, m := range p.tombstonesOf(x) {
		if tr.Min >= tr.Max {
			return true
		}
		if m.hides(run) && m.minT <= tr.Min {
			tr.Min = max(tr.Min, m.maxT)
		}
	}
	return tr.Min >= tr.Max
}

// hasUndeleted reports whether the samples of a series in a range may be more than
// what tombstones hide. The range overlaps that of the samples.
func (p *bufferShard) hasUndeleted(st *state, x *extra, tr model.TimeRange) bool {
	if !p.isDeleted(x, tr.Intersect(model.Inclusive(st.minT, st.t)), mainRun) {
		return true
	}
	for _, l := range p.late.get(x.late, int(x.nLate)) {
		if tr.Contains(l.t) {
			return true
		}
	}
	for i, r := range p.runs.get(x.runs, int(x.nRuns)) {
		segs := p.segs.get(r.segs, int(r.nSegs))
		span := model.Inclusive(segs[0].minT, segs[len(segs)-1].maxT)
		if part := tr.Intersect(span); !part.Empty() && !p.isDeleted(x, part, i) {
			return true
		}
	}
	return false
}
