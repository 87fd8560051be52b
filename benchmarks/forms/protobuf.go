package forms

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/benchmarks/remote"
)

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

// appendField appends a field of bytes.
func appendField(dst []byte, number int, b []byte) []byte {
	dst = append(dst, byte(number<<3|wireBytes))
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func appendFixed(dst []byte, number int, v uint64) []byte {
	dst = append(dst, byte(number<<3|wireFixed64))
	return binary.LittleEndian.AppendUint64(dst, v)
}

// remote1 is a message of remote write 1.
type remote1 struct{ cache }

func newRemote1() encoder {
	return &remote1{newCache(func(ls labels.Labels) []byte {
		var b []byte
		ls.Range(func(l labels.Label) { b = remote.AppendLabel(b, l.Name, l.Value) })
		return b
	})}
}

func (e *remote1) row(dst []byte, r *Row) []byte {
	for i, series := range e.get(r) {
		dst = remote.AppendSeries(dst, len(series), 1)
		dst = append(dst, series...)
		dst = remote.AppendSample(dst, r.T, r.Values[i])
	}
	return dst
}

func (e *remote1) end(dst []byte) []byte { return dst }

// remote2 is a message of remote write 2, whose table of symbols is made anew for each,
// as Prometheus does.
type remote2 struct {
	strings map[int][][]string // of the series of a target, names and values
	numbers map[string]uint64  // of the symbols of this message
	symbols []byte             // the field, encoded
	refs    []byte
	series  []byte
	sample  []byte
}

func newRemote2() encoder {
	return &remote2{strings: map[int][][]string{}, numbers: map[string]uint64{}}
}

func (e *remote2) row(dst []byte, r *Row) []byte {
	all := e.strings[r.Target]
	if all == nil {
		for _, ls := range r.Series {
			var s []string
			ls.Range(func(l labels.Label) { s = append(s, l.Name, l.Value) })
			all = append(all, s)
		}
		e.strings[r.Target] = all
	}
	for i, names := range all {
		e.refs = e.refs[:0]
		for _, s := range names {
			e.refs = binary.AppendUvarint(e.refs, e.symbol(s))
		}
		e.sample = appendFixed(e.sample[:0], 1, math.Float64bits(r.Values[i]))
		e.sample = append(e.sample, 2<<3|wireVarint)
		e.sample = binary.AppendUvarint(e.sample, uint64(r.T))
		e.series = appendField(e.series[:0], 1, e.refs)
		e.series = appendField(e.series, 2, e.sample)
		dst = appendField(dst, 5, e.series)
	}
	return dst
}

// symbol returns the number of a symbol in the message; 0 is the empty string.
func (e *remote2) symbol(s string) uint64 {
	n, ok := e.numbers[s]
	if !ok {
		if len(e.numbers) == 0 {
			e.symbols = appendField(e.symbols[:0], 4, nil)
		}
		n = uint64(len(e.numbers) + 1)
		e.numbers[s] = n
		e.symbols = appendField(e.symbols, 4, []byte(s))
	}
	return n
}

func (e *remote2) end(dst []byte) []byte {
	dst = append(dst, e.symbols...)
	clear(e.numbers)
	e.symbols = e.symbols[:0]
	return dst
}

// otlp is an ExportMetricsServiceRequest: a resource a row, which has the labels job and
// instance, and in it a metric a name, whose data points have the other labels.
type otlp struct {
	machines map[int]*otlpMachine
	resource []byte
	scope    []byte
	metric   []byte
	data     []byte
	point    []byte
}

// otlpMachine is what stays the same in each message.
type otlpMachine struct {
	resource []byte
	start    uint64 // of the counters, Unix nanoseconds
	names    []string
	points   [][]byte // attributes of each series
}

func newOTLP() encoder { return &otlp{machines: map[int]*otlpMachine{}} }

// appendAttribute appends a KeyValue with a string in a field of a number.
func appendAttribute(dst []byte, number int, key, value string) []byte {
	any := appendField(nil, 1, []byte(value))
	kv := appendField(nil, 1, []byte(key))
	return appendField(dst, number, appendField(kv, 2, any))
}

func (e *otlp) machine(r *Row) *otlpMachine {
	m := e.machines[r.Target]
	if m != nil {
		return m
	}
	m = &otlpMachine{start: uint64(r.T-3_600_000) * 1e6}
	m.resource = appendAttribute(m.resource, 1, "service.name", r.Series[0].Get("job"))
	m.resource = appendAttribute(m.resource, 1, "service.instance.id", r.Series[0].Get("instance"))
	for _, ls := range r.Series {
		var b []byte
		ls.Range(func(l labels.Label) {
			switch l.Name {
			case model.MetricNameLabel:
				m.names = append(m.names, l.Value)
			case "job", "instance":
			default:
				b = appendAttribute(b, 7, l.Name, l.Value)
			}
		})
		m.points = append(m.points, b)
	}
	e.machines[r.Target] = m
	return m
}

func (e *otlp) row(dst []byte, r *Row) []byte {
	m := e.machine(r)
	e.scope = e.scope[:0]
	for i := 0; i < len(m.names); {
		name := m.names[i]
		counter := strings.HasSuffix(name, "_total")
		e.data = e.data[:0]
		for ; i < len(m.names) && m.names[i] == name; i++ {
			e.point = append(e.point[:0], m.points[i]...)
			if counter {
				e.point = appendFixed(e.point, 2, m.start)
			}
			e.point = appendFixed(e.point, 3, uint64(r.T)*1e6)
			e.point = appendFixed(e.point, 4, math.Float64bits(r.Values[i]))
			e.data = appendField(e.data, 1, e.point)
		}
		e.metric = appendField(e.metric[:0], 1, []byte(name))
		if counter {
			e.data = append(e.data, 2<<3|wireVarint, 2, 3<<3|wireVarint, 1) // cumulative, monotonic
			e.metric = appendField(e.metric, 7, e.data)
		} else {
			e.metric = appendField(e.metric, 5, e.data)
		}
		e.scope = appendField(e.scope, 2, e.metric)
	}
	e.resource = appendField(e.resource[:0], 1, m.resource)
	e.resource = appendField(e.resource, 2, e.scope)
	return appendField(dst, 1, e.resource)
}

func (e *otlp) end(dst []byte) []byte { return dst }

// dataDog2 is DataDog's series, version 2, as its agents send them: gauges in whole seconds.
type dataDog2 struct {
	cache
	point, series []byte
}

func newDataDog2() encoder {
	return &dataDog2{cache: newCache(func(ls labels.Labels) []byte {
		const gauge = 3
		b := appendField(nil, 2, []byte(ls.Get(model.MetricNameLabel)))
		ls.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				b = appendField(b, 3, []byte(l.Name+":"+l.Value))
			}
		})
		return append(b, 5<<3|wireVarint, gauge)
	})}
}

func (e *dataDog2) row(dst []byte, r *Row) []byte {
	for i, series := range e.get(r) {
		e.point = appendFixed(e.point[:0], 1, math.Float64bits(r.Values[i]))
		e.point = append(e.point, 2<<3|wireVarint)
		e.point = binary.AppendUvarint(e.point, uint64(r.T/1000))
		e.series = appendField(append(e.series[:0], series...), 4, e.point)
		dst = appendField(dst, 1, e.series)
	}
	return dst
}

func (e *dataDog2) end(dst []byte) []byte { return dst }
