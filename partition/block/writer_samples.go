package block

import (
	"fmt"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// The maximum number of samples of one series and partition that a Writer buffers
// to choose the length of the chunk windows. With more, the rung is chosen by the
// samples seen so far.
const (
	heldFloats     = 256 << 10
	heldHistograms = 32 << 10
)

// chunkBuckets bounds the buckets of the histograms in one chunk, and so the
// memory for reading it.
const chunkBuckets = 1 << 20

// columns are the samples of one kind in one window.
type columns struct {
	t  []int64
	v  []float64
	h  []model.Histogram
	st []int64 // empty if none has a start timestamp
}

// Samples adds samples to the current series. Their times must be strictly
// ascending over all calls for a series. Only the histograms of s are retained.
func (w *Writer) Samples(s *model.ColumnSet) error {
	if w.err != nil || s.Len() == 0 {
		return w.err
	}
	if w.err = w.checkSamples(s); w.err != nil {
		return w.err
	}
	for i := 0; i < s.Len(); {
		if !w.span.Contains(s.T[i]) {
			w.flush(true)
			w.span, w.rung = w.meta.Tier.PartitionRange(s.T[i]), 0
		}
		j := i + max(1, searchTime(s.T[i:], w.span.Max)) // math.MaxInt64 is in no range
		w.held.AppendRange(s, i, j)
		i = j
		if n := w.held.Len(); n > heldFloats || n > heldHistograms && len(w.held.H) > 0 {
			w.flush(false)
		}
	}
	return w.err
}

// checkSamples returns an error if s may not be the next samples.
func (w *Writer) checkSamples(s *model.ColumnSet) error {
	if w.meta.Tier != Raw {
		return fmt.Errorf("write block %s: samples in the %v tier", w.name, w.meta.Tier)
	}
	if !w.series.set {
		return fmt.Errorf("write block %s: samples of no series", w.name)
	}
	for i, k := range s.Kinds {
		if !k.Valid() {
			return fmt.Errorf("write block %s: series %v: row at %d is of %v, which no column of a block holds", w.name, w.labels(), s.T[i], k)
		}
	}
	last, ok := w.series.last, !w.series.taken
	for _, t := range s.T {
		if t <= last && !ok {
			return fmt.Errorf("write block %s: series %v: time %d after %d", w.name, w.labels(), t, last)
		}
		last, ok = t, false
	}
	if err := w.checkSpan(s.T[0], last); err != nil {
		return err
	}
	w.series.last, w.series.taken = last, true
	return nil
}

// checkSpan returns an error if the times from first to last, both inclusive, are
// outside of the partitions of the block.
func (w *Writer) checkSpan(first, last int64) error {
	if w.meta.Level == L0 {
		return nil
	}
	if r := w.meta.Span(); first < r.Min || last >= r.Max {
		return fmt.Errorf("write block %s: series %v: times %d to %d are outside of the partition", w.name, w.labels(), first, last)
	}
	return nil
}

// flush writes the buffered samples, chunk by chunk. Unless all is set, it keeps
// the last window in the buffer, because more samples of it may follow.
func (w *Writer) flush(all bool) {
	if w.err != nil || w.held.Len() == 0 {
		return
	}
	ts := w.held.T
	w.rung = rungOf(w.span.Min, w.rung, ts)
	i := 0
	for i < len(ts) && w.err == nil {
		j := i + max(1, searchTime(ts[i:], windowOf(w.span.Min, w.rung, ts[i]).Max))
		if j == len(ts) && !all {
			// Samples of a window that is full already are split by count.
			j = i + (j-i)/MaxChunkSamples*MaxChunkSamples
			w.window(i, j)
			i = j
			break
		}
		w.window(i, j)
		i = j
	}
	w.held.Truncate(w.held.Move(0, i, len(ts)))
}

// window writes the buffered samples i ≤ k < j, which are in one window: floats
// first, then histograms.
func (w *Writer) window(i, j int) {
	s := &w.held
	if len(s.H) == 0 {
		c := columns{t: s.T[i:j], v: s.V[i:j]}
		if len(s.ST) > 0 {
			c.st = s.ST[i:j]
		}
		w.split(KindFloats, c)
		return
	}
	for k := range w.kinds {
		c := &w.kinds[k]
		c.t, c.v, c.h, c.st = c.t[:0], c.v[:0], c.h[:0], c.st[:0]
	}
	for ; i < j; i++ {
		kind, err := kindOf(s.KindAt(i))
		if err != nil {
			w.check(err)
			return
		}
		c := &w.kinds[kind]
		c.t, c.v, c.h = append(c.t, s.T[i]), append(c.v, s.V[i]), append(c.h, s.H[i])
		if len(s.ST) > 0 {
			c.st = append(c.st, s.ST[i])
		}
	}
	for k := range w.kinds {
		w.split(Kind(k), w.kinds[k])
		clear(w.kinds[k].h)
	}
}

// split writes the samples of one kind and window in chunks of at most
// MaxChunkSamples.
func (w *Writer) split(kind Kind, c columns) {
	for len(c.t) > 0 && w.err == nil {
		n := min(len(c.t), MaxChunkSamples)
		var part columns
		switch kind {
		case KindFloats:
			part.v, c.v = c.v[:n], c.v[n:]
		case KindHistograms:
			n = histogramsInChunk(c.h[:n])
			part.h, c.h = c.h[:n], c.h[n:]
		default:
			w.check(errKind(kind))
			return
		}
		part.t = c.t[:n]
		if len(c.st) > 0 {
			part.st, c.st = c.st[:n], c.st[n:]
		}
		c.t = c.t[n:]
		w.chunk(kind, part)
	}
}

// histogramsInChunk returns the number of histograms at the start of hs, at least
// one, that go into one chunk.
func histogramsInChunk(hs []model.Histogram) int {
	buckets := 0
	for i, h := range hs {
		switch {
		case h.Int != nil:
			buckets += len(h.Int.PositiveBuckets) + len(h.Int.NegativeBuckets)
		case h.Float != nil:
			buckets += len(h.Float.PositiveBuckets) + len(h.Float.NegativeBuckets)
		}
		if buckets > chunkBuckets && i > 0 {
			return i
		}
	}
	return len(hs)
}

// chunk encodes one chunk.
func (w *Writer) chunk(kind Kind, c columns) {
	if !w.list() {
		return
	}
	r := row{ord: w.series.ord, flags: rungFlags(w.rung) | flagsOf(kind)}
	r.time = w.columns.addTimes(c.t)
	switch kind {
	case KindFloats:
		w.encoded, w.hint = encoding.AppendFloats(w.encoded[:0], c.v, w.columns.tier, w.hint)
	case KindHistograms:
		w.encoded = encoding.AppendHistograms(w.encoded[:0], c.h, w.columns.tier)
	default:
		w.check(errKind(kind))
		return
	}
	if len(w.encoded) > maxColumnBytes {
		w.check(fmt.Errorf("series %v: column of %d bytes exceeds the limit of %d", w.labels(), len(w.encoded), maxColumnBytes))
		return
	}
	if kind == KindFloats && len(w.encoded) >= aggregateBytesMin {
		if a, ok := AggregateOf(c.v); ok {
			w.columns.addAggregate(&r, a)
		}
	}
	r.value = w.columns.addValues(w.encoded, len(c.t))
	if anySet(c.st) {
		r.flags |= rowStarts
		r.starts = w.columns.addStarts(c.st, c.t)
	}
	w.row(r, c.t[0], c.t[len(c.t)-1], len(c.t))
}
