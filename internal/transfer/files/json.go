package files

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/transfer/jsonl"
	"tsdb/storage"
)

// jsonParser reads JSON lines.
type jsonParser struct {
	split   jsonl.Line
	builder labels.ScratchBuilder
}

func (p *jsonParser) line(b []byte, out *batch) error {
	err := p.split.Split(b)
	if err != nil {
		out.refuse(storage.ReasonBadValue, excerpt(b), err.Error(), 1)
		return nil
	}
	s := out.named(p.split.Metric)
	if s == nil {
		p.builder.Reset()
		if err := p.split.Labels(p.builder.Add); err != nil {
			out.refuse(storage.ReasonBadLabel, excerpt(b), err.Error(), max(p.split.Rows(), 1))
			return nil
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
	return nil
}

func (*jsonParser) flush(*batch) error { return nil }
