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
)

// batch collects the series of some lines. Lines of the same series, in formats of one
// sample a line, are joined.
type batch struct {
	start   int64 // position
	bytes   int   // of lines
	samples int
	series  []*series
	names   map[string]*series // by the text that names them in the file
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

func (b *batch) use(s *series) {
	if !s.used {
		s.used = true
		b.series = append(b.series, s)
	}
}

// float adds a sample.
func (b *batch) float(s *series, t int64, v float64) {
	s.samples.T, s.samples.V = append(s.samples.T, t), append(s.samples.V, v)
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
	for _, s := range b.series {
		s.samples.Reset()
		s.exemplars, s.used = nil, false
	}
	b.series, b.metas, b.refused = b.series[:0], b.metas[:0], b.refused[:0]
	b.start, b.bytes, b.samples = end, 0, 0
	return ctx.Err()
}
