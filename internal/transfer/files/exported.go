package files

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/storage"
)

// ExportedCSV is the Options.CSV of the files that tsdb export writes: the metric's name, its
// other labels as a JSON object, the time in milliseconds, the value.
const ExportedCSV = "tsdb"

// exportedHeader is their first line.
const exportedHeader = "name,labels,timestamp_ms,value"

// exportedParser reads ExportedCSV.
type exportedParser struct {
	key     []byte
	builder labels.ScratchBuilder
}

func (p *exportedParser) line(b []byte, out *batch) error {
	if string(b) == exportedHeader {
		return nil
	}
	refuse := func(reason storage.Reason, format string, args ...any) error {
		out.refuse(reason, excerpt(b), fmt.Sprintf(format, args...), 1)
		return nil
	}
	record, err := csv.NewReader(bytes.NewReader(b)).Read()
	switch {
	case err != nil:
		return refuse(storage.ReasonBadValue, "%v", err)
	case len(record) != 4:
		return refuse(storage.ReasonBadValue, "%d columns, want %s", len(record), exportedHeader)
	}
	t, err := strconv.ParseInt(record[2], 10, 64)
	if err != nil {
		return refuse(storage.ReasonBadTime, "time %q is no number of milliseconds", record[2])
	}
	v, err := strconv.ParseFloat(record[3], 64)
	if err != nil {
		return refuse(storage.ReasonBadValue, "value %q is no number", record[3])
	}
	p.key = append(append(append(p.key[:0], record[0]...), 0), record[1]...)
	s := out.named(p.key)
	if s == nil {
		var others map[string]string
		if err := json.Unmarshal([]byte(record[1]), &others); err != nil {
			return refuse(storage.ReasonBadLabel, "labels: %v", err)
		}
		p.builder.Reset()
		if record[0] != "" {
			p.builder.Add(prommodel.MetricNameLabel, record[0])
		}
		for name, value := range others {
			p.builder.Add(name, value)
		}
		p.builder.Sort()
		s = out.add(p.key, p.builder.Labels())
	}
	out.float(s, t, v)
	return nil
}

func (*exportedParser) flush(*batch) error { return nil }
