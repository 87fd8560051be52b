package head

import (
	"math"
	"slices"
	"sync"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// lateSample is a sample of a late buffer: when it arrived, its series had a sample
// of the same time or a newer one.
type lateSample struct {
	t     int64
	v     uint64 // bits of the float
	start int64
	hist  uint32 // handle in space of the encoded histogram
	bytes uint32 // of the histogram, 0 if the sample is a float
}

// maxLateSamples is the size of a late buffer. A full one is sealed: it becomes a run
// and is never appended to.
const maxLateSamples = 32

func (l *lateSample) sample(p *bufferShard) (v float64, h model.Histogram) {
	if l.bytes == 0 {
		return math.Float64frombits(l.v), h
	}
	h, _, err := encoding.DecodeHistogram(p.space.get(l.hist, int(l.bytes)))
	if err != nil {
		panic("BUG: late histogram in memory: " + err.Error())
	}
	return 0, h
}

// outcome is the effect of a sample on its series.
type outcome uint8

const (
	unchanged outcome = iota // a duplicate, or a stale marker at the key of a number
	added                    // its key is new
	replaced                 // its key had another value
)

var readScratches = sync.Pool{New: func() any { return new(scratch) }}

// insert adds a sample that is not newer than all others of its series.
func (p *bufferShard) insert(st *state, t, start int64, v float64, h model.Histogram) outcome {
	sc := &p.scratch
	if st.extra == 0 && t == st.t && start == 0 && h.IsZero() && math.Float64bits(v) == st.v {
		return unchanged
	}
	was := &sc.found
	was.Reset()
	defer was.Reset()
	p.read(st, model.TimeRange{Min: t, Max: t + 1}, was, sc)
	result := added
	if was.Len() > 0 {
		now := &sc.given
		now.Reset()
		now.Append(t, start, v, h)
		defer now.Reset()
		if now.EqualAt(0, was, 0) || !model.Overwrites(now.StaleAt(0), was.StaleAt(0)) {
			return unchanged
		}
		result = replaced
	}
	x := p.extraOf(st)
	late := p.late.get(x.late, int(x.nLate))
	i, same := slices.BinarySearchFunc(late, t, func(l lateSample, t int64) int {
		switch {
		case l.t < t:
			return -1
		case l.t > t:
			return 1
		}
		return 0
	})
	if !same {
		if x.nLate == maxLateSamples {
			p.seal(x)
			i = 0
		}
		x.late = widen(&p.late, x.late, int(x.nLate))
		x.nLate++
		late = p.late.get(x.late, int(x.nLate))
		copy(late[i+1:], late[i:])
	} else if late[i].bytes > 0 {
		p.space.release(late[i].hist, int(late[i].bytes))
	}
	late[i] = lateSample{t: t, v: math.Float64bits(v), start: start}
	if !h.IsZero() {
		sc.bytes = encoding.AppendHistogram(sc.bytes[:0], h)
		late[i].v, late[i].bytes = 0, uint32(len(sc.bytes))
		late[i].hist = p.space.alloc(len(sc.bytes))
		copy(p.space.get(late[i].hist, len(sc.bytes)), sc.bytes)
	}
	st.minT = min(st.minT, t)
	return result
}

// maxMergedSamples bounds the samples of runs to be merged, because merging runs
// under the shard's lock.
const maxMergedSamples = 8192

// seal turns a full late buffer into a run. Runs of about the same size are merged,
// so that there are few, however many late samples arrive.
func (p *bufferShard) seal(x *extra) {
	sc := &p.scratch
	sc.a.Reset()
	p.readLate(x, model.AllTime, &sc.a)
	p.dropLate(x)
	run := p.encode(&sc.a)
	for x.nRuns > 0 {
		number := int(x.nRuns) - 1
		older := p.runs.get(x.runs, int(x.nRuns))[number]
		if older.samples > 2*run.samples || older.samples > maxMergedSamples {
			break
		}
		sc.a.Reset()
		sc.b.Reset()
		sc.part.Reset()
		p.readSegments(p.segs.get(older.segs, int(older.nSegs)), model.AllTime, &sc.a, sc)
		p.carryOut(x, number, &sc.a)
		p.readSegments(p.segs.get(run.segs, int(run.nSegs)), model.AllTime, &sc.b, sc)
		model.Merge(&sc.part, &sc.a, &sc.b)
		p.forget(older)
		p.forget(run)
		run = p.encode(&sc.part)
		p.pop(x)
	}
	x.runs = push(&p.runs, x.runs, int(x.nRuns), run)
	x.nRuns++
	sc.drop()
}

// carryOut removes from the samples of the newest sealed run what tombstones hide, so that
// it can be merged with newer samples.
func (p *bufferShard) carryOut(x *extra, run int, samples *model.Samples) {
	p.dropDeleted(samples, 0, x, run)
	list := p.tombstonesOf(x)
	for i := range list {
		list[i].runs = min(list[i].runs, uint32(run))
	}
}

// dropLate empties the late buffer.
func (p *bufferShard) dropLate(x *extra) {
	for _, l := range p.late.get(x.late, int(x.nLate)) {
		if l.bytes > 0 {
			p.space.release(l.hist, int(l.bytes))
		}
	}
	p.late.release(x.late, int(x.nLate))
	x.nLate = 0
}

// pop removes the newest sealed run from the list and returns it.
func (p *bufferShard) pop(x *extra) {
	n := int(x.nRuns)
	x.nRuns--
	switch {
	case n == 1:
		p.runs.release(x.runs, 1)
	case p.runs.room(n) != p.runs.room(n-1):
		h := p.runs.alloc(n - 1)
		copy(p.runs.get(h, n-1), p.runs.get(x.runs, n))
		p.runs.release(x.runs, n)
		x.runs = h
	}
}

// readLate appends the samples of the late buffer in the range to dst.
func (p *bufferShard) readLate(x *extra, tr model.TimeRange, dst *model.Samples) {
	if x.nLate == 0 {
		return
	}
	for _, l := range p.late.get(x.late, int(x.nLate)) {
		if l.t >= tr.Min && l.t < tr.Max {
			v, h := l.sample(p)
			dst.Append(l.t, l.start, v, h)
		}
	}
}
