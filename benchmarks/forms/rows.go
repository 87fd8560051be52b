package forms

import (
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/benchmarks/sets"
)

// measurement is the part of a metric's name before the first underscore, which
// lines have once for all fields of a host, as TSBS' names are made.
func measurement(ls labels.Labels) (name, field string) {
	name, field, _ = strings.Cut(ls.Get(model.MetricNameLabel), "_")
	return name, field
}

// lines is InfluxDB's line protocol: a row a line, whose fields are the metrics. The
// series of a row have the same labels but for the name.
type lines struct {
	heads  map[int][]byte // by target
	fields []string
}

func newLines() encoder { return &lines{heads: map[int][]byte{}} }

func (e *lines) row(dst []byte, r *Row) []byte {
	head := e.heads[r.Target]
	if head == nil {
		name, _ := measurement(r.Series[0])
		head = append(head, name...)
		labels.NewBuilder(r.Series[0]).Del(model.MetricNameLabel).Labels().Range(func(l labels.Label) {
			head = append(append(append(append(head, ','), l.Name...), '='), l.Value...)
		})
		head = append(head, ' ')
		e.heads[r.Target] = head
	}
	if e.fields == nil {
		for _, ls := range r.Series {
			_, field := measurement(ls)
			e.fields = append(e.fields, field+"=")
		}
	}
	dst = append(dst, head...)
	for i, v := range r.Values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e.fields[i]...)
		dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, r.T, 10)
	return append(dst, '\n')
}

func (e *lines) end(dst []byte) []byte { return dst }

// csv has a row a line: the host's labels in order of their names, the fields, and the time.
type csv struct {
	heads map[int][]byte // by target
}

func newCSV() encoder { return &csv{map[int][]byte{}} }

// csvFormat returns the parameter that says what the columns are.
func csvFormat() string {
	series, err := sets.CPUOnly(sets.Options{Groups: 1, Span: 1}).Group(0)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	var columns []string
	add := func(what string) { columns = append(columns, strconv.Itoa(len(columns)+1)+":"+what) }
	series[0].Labels.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			add("label:" + l.Name)
		}
	})
	for _, s := range series {
		add("metric:" + s.Labels.Get(model.MetricNameLabel))
	}
	add("time:unix_ms")
	return strings.Join(columns, ",")
}

func (e *csv) row(dst []byte, r *Row) []byte {
	head := e.heads[r.Target]
	if head == nil {
		r.Series[0].Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				head = append(append(head, l.Value...), ',')
			}
		})
		e.heads[r.Target] = head
	}
	dst = append(dst, head...)
	for _, v := range r.Values {
		dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
		dst = append(dst, ',')
	}
	dst = strconv.AppendInt(dst, r.T, 10)
	return append(dst, '\n')
}

func (e *csv) end(dst []byte) []byte { return dst }
