package files

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/csv"
	"tsdb/internal/decimal"
	"tsdb/storage"
)

// ExportedCSV is the Options.CSV of the files that tsdb export writes: the metric's name, its
// other labels as a JSON object, the time in milliseconds, the value.
const ExportedCSV = "tsdb"

// exportedHeader is their first line.
const exportedHeader = "name,labels,timestamp_ms,value"

// exportedColumns are the columns of a line.
const exportedColumns = 4

// exportedParser reads ExportedCSV.
type exportedParser struct {
	fields  [][]byte // of a line
	builder labels.ScratchBuilder

	// The last series, and the text that names it: lines are in the order of series.
	text   []byte
	series *series
}

func (p *exportedParser) parse(_ context.Context, lines []byte, out *batch) error {
	p.series = nil // its text is not retained
	for b := range bytes.Lines(lines) {
		if b = trimEnd(b); len(b) > 0 && string(b) != exportedHeader {
			p.line(b, out)
		}
	}
	return nil
}

func (*exportedParser) cut() func(lines []byte) int { return nil }
func (*exportedParser) seen() func(lines []byte)    { return nil }

func (p *exportedParser) line(b []byte, out *batch) {
	refuse := func(reason storage.Reason, format string, args ...any) {
		out.refuse(reason, excerpt(b), fmt.Sprintf(format, args...), 1)
	}
	known := p.series != nil && bytes.HasPrefix(b, p.text)
	names := len(p.text)
	if !known {
		var ok bool
		if p.fields, ok = csv.Split(p.fields[:0], b, exportedColumns+1); !ok || len(p.fields) != exportedColumns {
			refuse(storage.ReasonBadValue, "%d columns or an open quote, want %s", len(p.fields), exportedHeader)
			return
		}
		names = len(p.fields[0]) + len(p.fields[1]) + len(",,")
	}
	at, value, ok := bytes.Cut(b[names:], []byte{','})
	if !ok || bytes.IndexByte(value, ',') >= 0 {
		refuse(storage.ReasonBadValue, "not %d columns, want %s", exportedColumns, exportedHeader)
		return
	}
	t, err := decimal.Int(csv.Content(at))
	if err != nil {
		refuse(storage.ReasonBadTime, "time %q is no number of milliseconds", at)
		return
	}
	v, err := decimal.ParseAny(csv.Content(value))
	if err != nil {
		refuse(storage.ReasonBadValue, "value %q is no number", value)
		return
	}
	if !known {
		s := out.named(b[:names])
		if s == nil {
			ls, err := p.labels()
			if err != nil {
				refuse(storage.ReasonBadLabel, "labels: %v", err)
				return
			}
			s = out.add(b[:names], ls)
		}
		p.text, p.series = b[:names], s
	}
	out.float(p.series, t, 0, v)
}

// labels returns the labels of the line in p.fields.
func (p *exportedParser) labels() (labels.Labels, error) {
	p.builder.Reset()
	if name := csv.Content(p.fields[0]); len(name) > 0 {
		p.builder.Add(prommodel.MetricNameLabel, string(name))
	}
	var others map[string]string
	if err := json.Unmarshal(csv.Content(p.fields[1]), &others); err != nil {
		return labels.EmptyLabels(), err
	}
	for name, value := range others {
		p.builder.Add(name, value)
	}
	p.builder.Sort()
	return p.builder.Labels(), nil
}
