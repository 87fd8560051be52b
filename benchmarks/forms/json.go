package forms

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// object is a message in JSON that holds a list: what stands around it, and what the
// series say before and behind the time and the value of a sample.
type object struct {
	cache
	begin, finish string // of the message
	sample        func(dst, series []byte, t int64, v float64) []byte

	items []byte // of this message
}

func (e *object) row(dst []byte, r *Row) []byte {
	for i, series := range e.get(r) {
		if len(e.items) > 0 {
			e.items = append(e.items, ',')
		}
		e.items = e.sample(e.items, series, r.T, r.Values[i])
	}
	return dst
}

func (e *object) end(dst []byte) []byte {
	dst = append(append(append(dst, e.begin...), e.items...), e.finish...)
	e.items = e.items[:0]
	return dst
}

// quoted returns a text as a string of JSON.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

// withoutName returns the labels besides the name of the metric.
func withoutName(ls labels.Labels) labels.Labels {
	return labels.NewBuilder(ls).Del(model.MetricNameLabel).Labels()
}

// newOpenTSDB returns the encoder of OpenTSDB's put, with times in milliseconds.
func newOpenTSDB() encoder {
	series := func(ls labels.Labels) []byte {
		tags, err := json.Marshal(withoutName(ls).Map())
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return []byte(`{"metric":` + quoted(ls.Get(model.MetricNameLabel)) + `,"tags":` + string(tags) + `,"timestamp":`)
	}
	return &object{cache: newCache(series), begin: "[", finish: "]", sample: func(dst, series []byte, t int64, v float64) []byte {
		dst = append(dst, series...)
		dst = append(strconv.AppendInt(dst, t, 10), `,"value":`...)
		return append(strconv.AppendFloat(dst, v, 'g', -1, 64), '}')
	}}
}

// newDataDog1 returns the encoder of DataDog's series, version 1: gauges in whole seconds.
func newDataDog1() encoder {
	series := func(ls labels.Labels) []byte {
		var tags []string
		withoutName(ls).Range(func(l labels.Label) { tags = append(tags, quoted(l.Name+":"+l.Value)) })
		return []byte(`{"metric":` + quoted(ls.Get(model.MetricNameLabel)) + `,"type":"gauge","tags":[` + strings.Join(tags, ",") + `],"points":[[`)
	}
	return &object{cache: newCache(series), begin: `{"series":[`, finish: "]}", sample: func(dst, series []byte, t int64, v float64) []byte {
		dst = append(dst, series...)
		dst = append(strconv.AppendInt(dst, t/1000, 10), ',')
		return append(strconv.AppendFloat(dst, v, 'g', -1, 64), "]]}"...)
	}}
}

// otlpJSON is an ExportMetricsServiceRequest in JSON: a resource a row, a gauge a series.
type otlpJSON struct {
	machines map[int]*jsonMachine
	rows     []byte // of this message
}

// jsonMachine is what stays the same in each message.
type jsonMachine struct {
	resource string
	series   []string // up to the value
}

func newOTLPJSON() encoder { return &otlpJSON{machines: map[int]*jsonMachine{}} }

// jsonAttribute returns a KeyValue with a string.
func jsonAttribute(key, value string) string {
	return `{"key":` + quoted(key) + `,"value":{"stringValue":` + quoted(value) + `}}`
}

func (e *otlpJSON) machine(r *Row) *jsonMachine {
	m := e.machines[r.Target]
	if m != nil {
		return m
	}
	first := r.Series[0]
	m = &jsonMachine{resource: `{"resource":{"attributes":[` + jsonAttribute("service.name", first.Get("job")) + "," +
		jsonAttribute("service.instance.id", first.Get("instance")) + `]},"scopeMetrics":[{"metrics":[`}
	for _, ls := range r.Series {
		var attributes []string
		ls.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel && l.Name != "job" && l.Name != "instance" {
				attributes = append(attributes, jsonAttribute(l.Name, l.Value))
			}
		})
		m.series = append(m.series, `{"name":`+quoted(ls.Get(model.MetricNameLabel))+`,"gauge":{"dataPoints":[{"attributes":[`+strings.Join(attributes, ",")+`],"asDouble":`)
	}
	e.machines[r.Target] = m
	return m
}

func (e *otlpJSON) row(dst []byte, r *Row) []byte {
	m := e.machine(r)
	if len(e.rows) > 0 {
		e.rows = append(e.rows, ',')
	}
	e.rows = append(e.rows, m.resource...)
	for i, series := range m.series {
		if i > 0 {
			e.rows = append(e.rows, ',')
		}
		e.rows = append(e.rows, series...)
		e.rows = strconv.AppendFloat(e.rows, r.Values[i], 'g', -1, 64)
		e.rows = append(e.rows, `,"timeUnixNano":"`...)
		e.rows = strconv.AppendInt(e.rows, r.T*1e6, 10)
		e.rows = append(e.rows, `"}]}}`...)
	}
	e.rows = append(e.rows, "]}]}"...)
	return dst
}

func (e *otlpJSON) end(dst []byte) []byte {
	dst = append(append(append(dst, `{"resourceMetrics":[`...), e.rows...), "]}"...)
	e.rows = e.rows[:0]
	return dst
}
