package files

import (
	"bytes"
	"errors"
	"io"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
	"tsdb/storage"
)

// textParser reads OpenMetrics, or Prometheus' text format, with Prometheus' parser. It
// parses the lines of a batch at once; if that fails, one by one, so that a bad line
// does not affect the others.
type textParser struct {
	openMetrics bool
	text        []byte
	symbols     *labels.SymbolTable
	found       []textSample
}

// textSample is a sample whose series is named by a part of the text.
type textSample struct {
	name      []byte
	labels    labels.Labels // if the batch does not know the name
	t         int64
	timed     bool
	v         float64
	exemplars []model.Exemplar
}

const endOfFile = "# EOF"

func (p *textParser) line(b []byte, _ *batch) error {
	if string(bytes.TrimSpace(b)) != endOfFile {
		p.text = append(append(p.text, b...), '\n')
	}
	return nil
}

func (p *textParser) flush(out *batch) error {
	metas, err := p.parse(p.text, out)
	if err == nil {
		p.take(out, metas)
	} else {
		for b := range bytes.Lines(p.text) {
			if metas, err := p.parse(b, out); err != nil {
				out.refuse(storage.ReasonBadValue, excerpt(bytes.TrimSpace(b)), err.Error(), 1)
			} else {
				p.take(out, metas)
			}
		}
	}
	p.text = p.text[:0]
	return nil
}

// take adds what was parsed to the batch.
func (p *textParser) take(out *batch, metas []transfer.Item) {
	for i := range p.found {
		f := &p.found[i]
		if !f.timed {
			out.refuse(storage.ReasonBadTime, excerpt(f.name), "sample without a timestamp", 1)
			continue
		}
		s := out.named(f.name)
		if s == nil {
			s = out.add(f.name, f.labels)
		}
		out.float(s, f.t, f.v)
		s.exemplars = append(s.exemplars, f.exemplars...)
	}
	out.metas = append(out.metas, metas...)
}

// parse parses text into found.
func (p *textParser) parse(text []byte, out *batch) (metas []transfer.Item, err error) {
	clear(p.found)
	p.found = p.found[:0]
	if p.symbols == nil || p.symbols.Len() > maxNames {
		p.symbols = labels.NewSymbolTable()
	}
	var in textparse.Parser
	if p.openMetrics {
		in = textparse.NewOpenMetricsParser(append(bytes.Clone(text), endOfFile+"\n"...), p.symbols)
	} else {
		in = textparse.NewPromParser(bytes.Clone(text), p.symbols, false)
	}
	known := map[string]int{}
	describe := func(metric string) *transfer.Item {
		i, ok := known[metric]
		if !ok {
			i = len(metas)
			known[metric] = i
			metas = append(metas, transfer.Item{Metric: metric})
		}
		return &metas[i]
	}
	for {
		entry, err := in.Next()
		if errors.Is(err, io.EOF) {
			return metas, nil
		} else if err != nil {
			return nil, err
		}
		switch entry {
		case textparse.EntryType:
			name, kind := in.Type()
			describe(string(name)).Metadata.Type = string(kind)
		case textparse.EntryHelp:
			name, help := in.Help()
			describe(string(name)).Metadata.Help = string(help)
		case textparse.EntryUnit:
			name, unit := in.Unit()
			describe(string(name)).Metadata.Unit = string(unit)
		case textparse.EntrySeries:
			name, t, v := in.Series()
			f := textSample{name: name, v: v}
			if t != nil {
				f.t, f.timed = *t, true
			}
			if out.names[string(name)] == nil {
				in.Labels(&f.labels)
			}
			for e := (exemplar.Exemplar{}); in.Exemplar(&e); e = (exemplar.Exemplar{}) {
				if !e.HasTs {
					e.Ts = f.t
				}
				f.exemplars = append(f.exemplars, model.Exemplar{T: e.Ts, V: e.Value, Labels: e.Labels})
			}
			p.found = append(p.found, f)
		}
	}
}
