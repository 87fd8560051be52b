package files

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
	"tsdb/storage"
)

// Bounds of a batch.
const (
	batchSamples = 1 << 18
	batchBytes   = 16 << 20
	maxNames     = 1 << 17 // of series that are remembered from batch to batch
	maxFree      = 2 * batchSamples
)

// batch collects the series of some lines. Lines of the same series, in formats of one
// sample a line, are joined.
type batch struct {
	start   int64 // position
	bytes   int   // of lines
	samples int
	series  []*series
	names   map[string]*series // by the text that names them in the file
	free    []model.Samples    // memory of earlier batches, of at most maxFree samples
	metas   []transfer.Item
	refused []transfer.Item
}

type series struct {
	labels    labels.Labels
	samples   model.Samples
	exemplars []model.Exemplar
	used      bool // in this batch
}

func newBatch(start int64) *batch { return &batch{start: start, names: map[string]*series{}} }

func (b *batch) full() bool { return b.samples >= batchSamples || b.bytes >= batchBytes }

// named returns the series that a text names, nil if it is not known.
func (b *batch) named(text []byte) *series {
	s := b.names[string(text)]
	if s != nil {
		b.use(s)
	}
	return s
}

// add adds a series that a text names.
func (b *batch) add(text []byte, ls labels.Labels) *series {
	s := &series{labels: ls}
	if len(b.names) >= maxNames {
		clear(b.names)
	}
	if text != nil {
		b.names[string(text)] = s
	}
	b.use(s)
	return s
}

// use makes a series part of the batch.
func (b *batch) use(s *series) {
	if s.used {
		return
	}
	s.used = true
	b.series = append(b.series, s)
	if n := len(b.free); n > 0 {
		s.samples, b.free = b.free[n-1], b.free[:n-1]
	}
}

// float adds a sample. t and st are Unix milliseconds, st 0 if there is no start
// timestamp.
func (b *batch) float(s *series, t, st int64, v float64) {
	b.use(s)
	if st == 0 && s.samples.IsPlain() {
		s.samples.T, s.samples.V = append(s.samples.T, t), append(s.samples.V, v)
	} else {
		s.samples.Append(t, st, v, model.Histogram{})
	}
	b.samples++
}

// refuse counts n lines or samples that cannot be taken.
func (b *batch) refuse(reason storage.Reason, example, detail string, n int) {
	for i := range b.refused {
		if b.refused[i].Reason == string(reason) {
			b.refused[i].Refused += n
			return
		}
	}
	b.refused = append(b.refused, transfer.Item{Reason: string(reason), Refused: n, Example: example, Detail: detail})
}

// emit passes the batch on and empties it. Until its last item the position is that of
// its start, since its lines may be in any order.
func (b *batch) emit(ctx context.Context, end, done int64, emit transfer.Emit) error {
	var items []transfer.Item
	for _, s := range b.series {
		items = append(items, transfer.Item{Labels: s.labels, Samples: &s.samples, Exemplars: s.exemplars})
	}
	items = append(append(items, b.metas...), b.refused...)
	for i := range items {
		items[i].Done = done
		pos := b.start
		if i == len(items)-1 {
			pos = end
		}
		if err := emit(pos, &items[i]); err != nil {
			return err
		}
	}
	b.recycle()
	b.series, b.metas, b.refused = b.series[:0], b.metas[:0], b.refused[:0]
	b.start, b.bytes, b.samples = end, 0, 0
	return ctx.Err()
}

// recycle takes the memory of the series of the batch for the next one. A file in the
// order of series has others in each batch, so it must not stay with them.
func (b *batch) recycle() {
	kept := 0
	for i := range b.free {
		kept += cap(b.free[i].T)
	}
	for _, s := range b.series {
		if kept += cap(s.samples.T); kept <= maxFree {
			s.samples.Reset()
			b.free = append(b.free, s.samples)
		}
		s.samples, s.exemplars, s.used = model.Samples{}, nil, false
	}
}
