package files

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/storage"
)

// csvParser reads lines of values separated by commas, in the columns that
// VictoriaMetrics' format parameter describes: POSITION:TYPE:CONTEXT, separated by
// commas. TYPE is metric (CONTEXT is its name), label (its name) or time (unix_s,
// unix_ms, unix_ns, rfc3339, custom:LAYOUT of Go).
type csvParser struct {
	metrics, names []csvColumn
	time           csvColumn
	nowMs          int64

	fields  [][]byte
	key     []byte
	builder labels.ScratchBuilder
}

type csvColumn struct {
	at   int // index of the field, -1 if there is none
	name string
}

func newCSVParser(o Options) (*csvParser, error) {
	p := &csvParser{time: csvColumn{at: -1}, nowMs: o.Now.UnixMilli()}
	if o.CSV == "" {
		return nil, errors.New(`--csv.format is missing: the columns, such as "1:time:unix_s,2:label:host,3:metric:temperature", or tsdb for what tsdb export writes`)
	}
	for _, part := range strings.Split(o.CSV, ",") {
		words := strings.SplitN(part, ":", 3)
		at, err := strconv.Atoi(words[0])
		if len(words) < 3 || err != nil || at < 1 || at > 1000 || words[2] == "" {
			return nil, fmt.Errorf("--csv.format: column %q, want POSITION:TYPE:CONTEXT", part)
		}
		c := csvColumn{at - 1, words[2]}
		switch words[1] {
		case "metric":
			p.metrics = append(p.metrics, c)
		case "label":
			p.names = append(p.names, c)
		case "time":
			p.time = c
			if _, err := p.parseTime([]byte("x")); errors.Is(err, errUnknownTime) {
				return nil, fmt.Errorf("--csv.format: %w %q", err, c.name)
			}
		default:
			return nil, fmt.Errorf("--csv.format: unknown type %q, want metric, label or time", words[1])
		}
	}
	if len(p.metrics) == 0 {
		return nil, errors.New("--csv.format: no column is a metric")
	}
	return p, nil
}

var errUnknownTime = errors.New("unknown form of time")

func (p *csvParser) parseTime(b []byte) (int64, error) {
	unit := 0.0
	switch name := p.time.name; {
	case name == "unix_s":
		unit = 1000
	case name == "unix_ms":
		unit = 1
	case name == "unix_ns":
		n, err := strconv.ParseInt(string(b), 10, 64)
		return n / 1_000_000, err
	case name == "rfc3339":
		t, err := time.Parse(time.RFC3339Nano, string(b))
		return t.UnixMilli(), err
	case strings.HasPrefix(name, "custom:"):
		t, err := time.Parse(strings.TrimPrefix(name, "custom:"), string(b))
		return t.UnixMilli(), err
	default:
		return 0, errUnknownTime
	}
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil && n < 1<<52 && n > -1<<52 {
		return n * int64(unit), nil
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err == nil && !(math.Abs(v) < 1<<52) {
		err = errors.New("out of range")
	}
	return int64(math.Round(v * unit)), err
}

func (p *csvParser) line(b []byte, out *batch) error {
	p.fields = p.fields[:0]
	if bytes.IndexByte(b, '"') < 0 {
		p.fields = append(p.fields, bytes.Split(b, []byte{','})...)
	} else {
		record, err := csv.NewReader(bytes.NewReader(b)).Read()
		if err != nil {
			out.refuse(storage.ReasonBadValue, excerpt(b), err.Error(), 1)
			return nil
		}
		for _, f := range record {
			p.fields = append(p.fields, []byte(f))
		}
	}
	t := p.nowMs
	if p.time.at >= 0 {
		var err error
		if p.time.at >= len(p.fields) {
			err = fmt.Errorf("it has %d columns", len(p.fields))
		} else {
			t, err = p.parseTime(p.fields[p.time.at])
		}
		if err != nil {
			out.refuse(storage.ReasonBadTime, excerpt(b), fmt.Sprintf("time in column %d: %v", p.time.at+1, err), 1)
			return nil
		}
	}
	for _, m := range p.metrics {
		if m.at >= len(p.fields) {
			out.refuse(storage.ReasonBadValue, excerpt(b), fmt.Sprintf("no column %d", m.at+1), 1)
			continue
		}
		text := p.fields[m.at]
		if len(text) == 0 {
			continue // no sample, as in VictoriaMetrics
		}
		v, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			out.refuse(storage.ReasonBadValue, excerpt(b), fmt.Sprintf("column %d is no number", m.at+1), 1)
			continue
		}
		out.float(p.series(m, out), t, v)
	}
	return nil
}

// series returns the series of a metric and the labels of the line.
func (p *csvParser) series(m csvColumn, out *batch) *series {
	p.key = append(append(p.key[:0], m.name...), 0)
	for _, l := range p.names {
		if l.at < len(p.fields) {
			p.key = append(p.key, p.fields[l.at]...)
		}
		p.key = append(p.key, 0)
	}
	if s := out.named(p.key); s != nil {
		return s
	}
	p.builder.Reset()
	p.builder.Add(prommodel.MetricNameLabel, m.name)
	for _, l := range p.names {
		if l.at < len(p.fields) && len(p.fields[l.at]) > 0 {
			p.builder.Add(l.name, string(p.fields[l.at]))
		}
	}
	p.builder.Sort()
	return out.add(p.key, p.builder.Labels())
}

func (*csvParser) flush(*batch) error { return nil }
