package files

import (
	"bytes"
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/transfer/jsonl"
	"tsdb/storage"
)

// jsonParser reads JSON lines.
type jsonParser struct {
	split   jsonl.Line
	builder labels.ScratchBuilder
}

func (p *jsonParser) parse(_ context.Context, lines []byte, out *batch) error {
	for b := range bytes.Lines(lines) {
		if b = trimEnd(b); len(b) > 0 {
			p.line(b, out)
		}
	}
	return nil
}

func (p *jsonParser) line(b []byte, out *batch) {
	err := p.split.Split(b)
	if err != nil {
		out.refuse(storage.ReasonBadValue, excerpt(b), err.Error(), 1)
		return
	}
	s := out.named(p.split.Metric)
	if s == nil {
		p.builder.Reset()
		if err := p.split.Labels(p.builder.Add); err != nil {
			out.refuse(storage.ReasonBadLabel, excerpt(b), err.Error(), max(p.split.Rows(), 1))
			return
		}
		p.builder.Sort()
		s = out.add(p.split.Metric, p.builder.Labels())
	}
	n := s.samples.Len()
	if err := p.split.Samples(&s.samples); err != nil {
		s.samples.Truncate(n)
		out.refuse(storage.ReasonBadValue, excerpt(b), err.Error(), max(p.split.Rows(), 1))
	}
	out.samples += s.samples.Len() - n
}

func (*jsonParser) cut() func(lines []byte) int { return nil }
func (*jsonParser) seen() func(lines []byte)    { return nil }
