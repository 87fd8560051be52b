package otlp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"github.com/valyala/fastjson"

	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
	"tsdb/internal/decimal"
)

// transcoder rewrites a request in JSON as the protobuf message that says the same,
// which is then decoded like all others. OTLP's rules are those of protobuf's JSON,
// except that ids are hexadecimal and field names only in lowerCamelCase. Fields that
// are unknown or not used are skipped; null counts as absent.
type transcoder struct {
	tree    door.JSON
	out     []byte // kept for reuse
	scratch []byte
	err     error  // the first
	field   string // name of the field that is rewritten

	limit  reqbody.Limit
	charge func(bytes int64) error // before out grows
}

// maxJSONDepth bounds the nesting of a request in JSON. A list or map in an attribute
// takes two levels of it for each of its own; what is too deep for a label
// (maxValueDepth) fits, and is refused like that in protobuf.
const maxJSONDepth = 100

// transcode returns the protobuf form of a message, valid until the next call.
func (t *transcoder) transcode(ctx context.Context, src []byte, limit reqbody.Limit, charge *reqbody.Charge) ([]byte, error) {
	if err := charge.Take(ctx, int64(cap(t.out))); err != nil {
		return nil, err
	}
	t.out, t.err, t.field = t.out[:0], nil, ""
	t.limit = limit
	t.charge = func(n int64) error { return charge.Take(ctx, n) }
	t.tree.ChargeTo(ctx, charge)
	root, err := t.tree.Parse(src)
	switch {
	case errors.Is(err, door.ErrJSON):
		t.err = &door.RequestError{Text: decodeJSON + err.Error(), Err: err}
	case err != nil:
		t.err = err
	default:
		t.object(requestObject, root, 0)
	}
	t.charge = nil
	charge.Give(t.tree.Paid())
	t.tree.Release()
	return t.out, t.err
}

// fail notes that something else was wanted as the value of the current field.
func (t *transcoder) fail(want string) {
	if t.err == nil {
		t.stop(malformedJSON(want, t.field))
	}
}

// stop notes an error.
func (t *transcoder) stop(err error) {
	if t.err == nil {
		t.err = err
	}
}

// release drops a large buffer.
func (t *transcoder) release() {
	if cap(t.out) > maxTranscodedBytes {
		t.out = nil
	}
	if cap(t.scratch) > maxArenaBytes {
		t.scratch = nil
	}
}

// maxTranscodedBytes is the largest buffer of a transcoder that is kept for reuse.
const maxTranscodedBytes = 4 << 20

// room makes room for n more bytes of output, and reports whether there is.
func (t *transcoder) room(n int) bool {
	size := len(t.out) + n
	if size <= cap(t.out) {
		return true
	}
	if int64(size) > t.limit.Bytes {
		t.stop(t.limit.Exceeded("as protobuf it has", -1))
		return false
	}
	grown := max(size, int(min(max(2*int64(cap(t.out)), 64<<10), t.limit.Bytes)))
	if err := t.charge(int64(grown)); err != nil { // on top of the old buffer
		t.stop(err)
		return false
	}
	t.out = append(make([]byte, 0, grown), t.out...)
	return true
}

// object rewrites an object as the fields of a message.
func (t *transcoder) object(o jsonObject, v *fastjson.Value, depth int) {
	object := v.GetObject()
	if object == nil {
		t.fail("an object")
		return
	}
	if depth > maxJSONDepth {
		t.fail(fmt.Sprintf("at most %d levels", maxJSONDepth))
		return
	}
	fields := jsonFields[o]
	var seen uint32 // fields, by index
	alternative := false
	object.Visit(func(key []byte, v *fastjson.Value) {
		if t.err != nil {
			return
		}
		known := -1
		for i := range fields {
			if fields[i].name == string(key) {
				known = i
				break
			}
		}
		if known < 0 {
			return
		}
		f := &fields[known]
		t.field = f.name
		switch {
		case t.isNull(v):
		case seen>>known&1 == 1, alternative && f.alternative:
			t.fail("no second value")
		default:
			seen |= 1 << known
			alternative = alternative || f.alternative
			t.value(f, v, depth)
		}
	})
}

// isNull reports whether a value is null.
func (t *transcoder) isNull(v *fastjson.Value) bool {
	word, quoted, err := t.word(v)
	return err == nil && !quoted && string(word) == "null"
}

// word returns the content of a string, or another word, valid until the next call.
func (t *transcoder) word(v *fastjson.Value) (word []byte, quoted bool, err error) {
	t.tree.ResetText()
	return t.tree.Word(v)
}

// text returns the content of a string, valid until the next call.
func (t *transcoder) text(v *fastjson.Value) []byte {
	word, quoted, err := t.word(v)
	if err != nil || !quoted {
		t.fail("a string")
		return nil
	}
	return word
}

// items calls f for the items of an array.
func (t *transcoder) items(v *fastjson.Value, f func(*fastjson.Value)) {
	if v.Type() != fastjson.TypeArray {
		t.fail("an array")
		return
	}
	for _, item := range v.GetArray() {
		if t.err != nil {
			return
		}
		f(item)
	}
}

// value rewrites the value of a field.
func (t *transcoder) value(f *jsonField, v *fastjson.Value, depth int) {
	switch f.kind {
	case jsonMessage:
		t.message(f, v, depth)
	case jsonMessages:
		t.items(v, func(v *fastjson.Value) {
			t.field = f.name
			t.message(f, v, depth)
		})
	case jsonFixed64s, jsonDoubles, jsonVarints:
		t.nested(f.tag, func() { t.items(v, func(v *fastjson.Value) { t.number(f.kind, v) }) })
	case jsonString:
		t.bytes(f.tag, t.text(v))
	case jsonHex:
		t.scratch = append(t.scratch[:0], t.text(v)...)
		n, err := hex.Decode(t.scratch, t.scratch)
		if err != nil {
			t.fail("hexadecimal digits")
		}
		t.bytes(f.tag, t.scratch[:n])
	case jsonBase64:
		t.bytes(f.tag, t.base64(t.text(v)))
	case jsonBool:
		bit := byte(0)
		switch v.Type() {
		case fastjson.TypeTrue:
			bit = 1
		case fastjson.TypeFalse:
		default:
			t.fail("true or false")
		}
		if t.room(2) {
			t.out = append(t.out, f.tag, bit)
		}
	default:
		if t.room(1) {
			t.out = append(t.out, f.tag)
			t.number(f.kind, v)
		}
	}
}

// message rewrites an object as a field.
func (t *transcoder) message(f *jsonField, v *fastjson.Value, depth int) {
	t.nested(f.tag, func() { t.object(f.object, v, depth+1) })
}

// nested appends a field whose content is what f appends.
func (t *transcoder) nested(tag byte, f func()) {
	if !t.room(2) {
		return
	}
	t.out = append(t.out, tag, 0)
	from := len(t.out)
	f()
	n := len(t.out) - from
	if n < 0x80 {
		t.out[from-1] = byte(n)
		return
	}
	var length [binary.MaxVarintLen64]byte
	more := binary.PutUvarint(length[:], uint64(n)) - 1
	if t.room(more) {
		t.out = t.out[:len(t.out)+more]
		copy(t.out[from+more:], t.out[from:from+n])
		copy(t.out[from-1:], length[:more+1])
	}
}

// bytes appends a field of bytes.
func (t *transcoder) bytes(tag byte, b []byte) {
	if t.err == nil && t.room(1+binary.MaxVarintLen64+len(b)) {
		t.out = append(t.out, tag)
		t.out = binary.AppendUvarint(t.out, uint64(len(b)))
		t.out = append(t.out, b...)
	}
}

// base64 decodes the standard alphabet and that of URLs, padded or not.
func (t *transcoder) base64(text []byte) []byte {
	t.scratch = t.scratch[:0]
	for _, c := range text {
		switch c {
		case '-':
			c = '+'
		case '_':
			c = '/'
		case '=':
			continue
		}
		t.scratch = append(t.scratch, c)
	}
	n := len(t.scratch)
	var err error
	if t.scratch, err = base64.RawStdEncoding.AppendDecode(t.scratch, t.scratch); err != nil {
		t.fail("base64")
	}
	return t.scratch[n:]
}

// number rewrites a number, which may stand in quotes, without its tag.
func (t *transcoder) number(kind jsonKind, v *fastjson.Value) {
	text, quoted, err := t.word(v)
	if err != nil {
		t.fail("a number")
	}
	if t.err != nil || !t.room(binary.MaxVarintLen64) {
		return
	}
	var u uint64
	ok := false
	switch kind {
	case jsonDouble, jsonDoubles:
		var v float64
		v, ok = parseDouble(text, quoted)
		u = math.Float64bits(v)
	case jsonFixed64, jsonFixed64s, jsonVarints:
		u, ok = parseUint(text)
	case jsonSfixed64, jsonInt64:
		u, ok = parseInt(text, math.MinInt64, math.MaxInt64)
	case jsonUint32:
		u, ok = parseUint(text)
		ok = ok && u <= math.MaxUint32
	case jsonSint32:
		u, ok = parseInt(text, math.MinInt32, math.MaxInt32)
		u = uint64(uint32(u)<<1 ^ uint32(int32(u)>>31))
	case jsonTemporality:
		if u, ok = temporalities[string(text)]; !ok || !quoted {
			u, ok = parseInt(text, math.MinInt32, math.MaxInt32)
		}
	}
	switch {
	case !ok:
		t.fail("a number of the field's type")
	case kind == jsonDouble, kind == jsonDoubles, kind == jsonFixed64, kind == jsonFixed64s, kind == jsonSfixed64:
		t.out = binary.LittleEndian.AppendUint64(t.out, u)
	default:
		t.out = binary.AppendUvarint(t.out, u)
	}
}

// temporalities are the names of AggregationTemporality. The specification allows only
// their numbers; protobuf's own encoders write the names.
var temporalities = map[string]uint64{
	"AGGREGATION_TEMPORALITY_UNSPECIFIED": 0,
	"AGGREGATION_TEMPORALITY_DELTA":       temporalityDelta,
	"AGGREGATION_TEMPORALITY_CUMULATIVE":  temporalityCumulative,
}

func parseDouble(text []byte, quoted bool) (v float64, ok bool) {
	if quoted {
		switch string(text) {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
	}
	v, err := decimal.Parse(text)
	return v, err == nil && !math.IsInf(v, 0)
}

// parseUint parses a number that is not negative, and not above the range of uint64.
func parseUint(text []byte) (u uint64, ok bool) {
	for _, c := range text {
		d := uint64(c - '0')
		if d > 9 {
			return wholeNumber(text, 0, 1<<64)
		}
		if u > (math.MaxUint64-d)/10 {
			return 0, false
		}
		u = u*10 + d
	}
	return u, len(text) > 0
}

// parseInt parses a number between two bounds, which are included.
func parseInt(text []byte, least, most int64) (u uint64, ok bool) {
	digits, negative := bytes.CutPrefix(text, []byte("-"))
	if bytes.ContainsAny(text, ".eE") {
		return wholeNumber(text, float64(least), float64(most)+1)
	}
	u, ok = parseUint(digits)
	if negative {
		return -u, ok && u <= -uint64(least)
	}
	return u, ok && u <= uint64(most)
}

// wholeNumber parses a number with a decimal point or an exponent, which must be whole
// and in [least, below).
func wholeNumber(text []byte, least, below float64) (u uint64, ok bool) {
	v, err := decimal.Parse(text)
	if err != nil || !bytes.ContainsAny(text, ".eE") || v != math.Trunc(v) || v < least || v >= below {
		return 0, false
	}
	if v < 0 {
		return uint64(int64(v)), true
	}
	return uint64(v), true
}

// jsonKind is the type of a field.
type jsonKind byte

const (
	jsonMessage jsonKind = iota
	jsonMessages
	jsonString
	jsonBool
	jsonHex    // bytes as hexadecimal digits
	jsonBase64 // bytes
	jsonDouble
	jsonDoubles
	jsonFixed64
	jsonFixed64s
	jsonSfixed64
	jsonInt64
	jsonVarints // uint64
	jsonUint32
	jsonSint32
	jsonTemporality
)

// jsonField is a field that is not skipped.
type jsonField struct {
	name        string
	tag         byte
	kind        jsonKind
	object      jsonObject // of messages
	alternative bool       // belongs to the oneof of its message, of which one may be given
}

// jsonObject names the form of an object.
type jsonObject byte

const (
	requestObject jsonObject = iota
	resourceMetricsObject
	resourceObject
	scopeMetricsObject
	scopeObject
	metricObject
	gaugeObject
	sumObject
	histogramObject
	exponentialObject
	summaryObject
	numberPointObject
	histogramPointObject
	exponentialPointObject
	bucketsObject
	summaryPointObject
	quantileObject
	exemplarObject
	attributeObject
	valueObject
	arrayObject
	mapObject
)

// jsonFields are the fields of the objects, at most 32 each; frequent ones first.
var jsonFields = [...][]jsonField{
	requestObject:         {{name: "resourceMetrics", tag: tagResourceMetrics, kind: jsonMessages, object: resourceMetricsObject}},
	resourceMetricsObject: {{name: "resource", tag: tagResource, object: resourceObject}, {name: "scopeMetrics", tag: tagScopeMetrics, kind: jsonMessages, object: scopeMetricsObject}},
	resourceObject:        {{name: "attributes", tag: tagResourceAttribute, kind: jsonMessages, object: attributeObject}},
	scopeMetricsObject: {
		{name: "scope", tag: tagScope, object: scopeObject},
		{name: "metrics", tag: tagMetric, kind: jsonMessages, object: metricObject},
		{name: "schemaUrl", tag: tagScopeSchemaURL, kind: jsonString},
	},
	scopeObject: {
		{name: "name", tag: tagScopeName, kind: jsonString},
		{name: "version", tag: tagScopeVersion, kind: jsonString},
		{name: "attributes", tag: tagScopeAttribute, kind: jsonMessages, object: attributeObject},
	},
	metricObject: {
		{name: "name", tag: tagMetricName, kind: jsonString},
		{name: "description", tag: tagDescription, kind: jsonString},
		{name: "unit", tag: tagUnit, kind: jsonString},
		{name: "gauge", tag: tagGauge, object: gaugeObject, alternative: true},
		{name: "sum", tag: tagSum, object: sumObject, alternative: true},
		{name: "histogram", tag: tagHistogram, object: histogramObject, alternative: true},
		{name: "exponentialHistogram", tag: tagExpHistogram, object: exponentialObject, alternative: true},
		{name: "summary", tag: tagSummary, object: summaryObject, alternative: true},
	},
	gaugeObject: {{name: "dataPoints", tag: tagDataPoint, kind: jsonMessages, object: numberPointObject}},
	sumObject: {
		{name: "dataPoints", tag: tagDataPoint, kind: jsonMessages, object: numberPointObject},
		{name: "aggregationTemporality", tag: tagTemporality, kind: jsonTemporality},
		{name: "isMonotonic", tag: tagMonotonic, kind: jsonBool},
	},
	histogramObject: {
		{name: "dataPoints", tag: tagDataPoint, kind: jsonMessages, object: histogramPointObject},
		{name: "aggregationTemporality", tag: tagTemporality, kind: jsonTemporality},
	},
	exponentialObject: {
		{name: "dataPoints", tag: tagDataPoint, kind: jsonMessages, object: exponentialPointObject},
		{name: "aggregationTemporality", tag: tagTemporality, kind: jsonTemporality},
	},
	summaryObject: {{name: "dataPoints", tag: tagDataPoint, kind: jsonMessages, object: summaryPointObject}},
	numberPointObject: {
		{name: "attributes", tag: tagNumberAttr, kind: jsonMessages, object: attributeObject},
		{name: "startTimeUnixNano", tag: tagPointStart, kind: jsonFixed64},
		{name: "timeUnixNano", tag: tagPointTime, kind: jsonFixed64},
		{name: "asDouble", tag: tagNumberDouble, kind: jsonDouble, alternative: true},
		{name: "asInt", tag: tagNumberInt, kind: jsonSfixed64, alternative: true},
		{name: "exemplars", tag: tagNumberExample, kind: jsonMessages, object: exemplarObject},
		{name: "flags", tag: tagNumberFlags, kind: jsonUint32},
	},
	histogramPointObject: {
		{name: "attributes", tag: tagHistAttr, kind: jsonMessages, object: attributeObject},
		{name: "startTimeUnixNano", tag: tagPointStart, kind: jsonFixed64},
		{name: "timeUnixNano", tag: tagPointTime, kind: jsonFixed64},
		{name: "count", tag: tagPointCount, kind: jsonFixed64},
		{name: "sum", tag: tagPointSum, kind: jsonDouble},
		{name: "bucketCounts", tag: tagHistCounts, kind: jsonFixed64s},
		{name: "explicitBounds", tag: tagHistBounds, kind: jsonDoubles},
		{name: "exemplars", tag: tagHistExample, kind: jsonMessages, object: exemplarObject},
		{name: "flags", tag: tagHistFlags, kind: jsonUint32},
	},
	exponentialPointObject: {
		{name: "attributes", tag: tagExpAttr, kind: jsonMessages, object: attributeObject},
		{name: "startTimeUnixNano", tag: tagPointStart, kind: jsonFixed64},
		{name: "timeUnixNano", tag: tagPointTime, kind: jsonFixed64},
		{name: "count", tag: tagPointCount, kind: jsonFixed64},
		{name: "sum", tag: tagPointSum, kind: jsonDouble},
		{name: "scale", tag: tagExpScale, kind: jsonSint32},
		{name: "zeroCount", tag: tagExpZeroCount, kind: jsonFixed64},
		{name: "positive", tag: tagExpPositive, object: bucketsObject},
		{name: "negative", tag: tagExpNegative, object: bucketsObject},
		{name: "exemplars", tag: tagExpExample, kind: jsonMessages, object: exemplarObject},
		{name: "flags", tag: tagExpFlags, kind: jsonUint32},
	},
	bucketsObject: {{name: "offset", tag: tagExpOffset, kind: jsonSint32}, {name: "bucketCounts", tag: tagExpCounts, kind: jsonVarints}},
	summaryPointObject: {
		{name: "attributes", tag: tagSummaryAttr, kind: jsonMessages, object: attributeObject},
		{name: "startTimeUnixNano", tag: tagPointStart, kind: jsonFixed64},
		{name: "timeUnixNano", tag: tagPointTime, kind: jsonFixed64},
		{name: "count", tag: tagPointCount, kind: jsonFixed64},
		{name: "sum", tag: tagPointSum, kind: jsonDouble},
		{name: "quantileValues", tag: tagSummaryQuantile, kind: jsonMessages, object: quantileObject},
		{name: "flags", tag: tagSummaryFlags, kind: jsonUint32},
	},
	quantileObject: {{name: "quantile", tag: tagQuantile, kind: jsonDouble}, {name: "value", tag: tagQuantileValue, kind: jsonDouble}},
	exemplarObject: {
		{name: "timeUnixNano", tag: tagExampleTime, kind: jsonFixed64},
		{name: "asDouble", tag: tagExampleDouble, kind: jsonDouble, alternative: true},
		{name: "asInt", tag: tagExampleInt, kind: jsonSfixed64, alternative: true},
		{name: "traceId", tag: tagExampleTrace, kind: jsonHex},
		{name: "spanId", tag: tagExampleSpan, kind: jsonHex},
		{name: "filteredAttributes", tag: tagExampleAttr, kind: jsonMessages, object: attributeObject},
	},
	attributeObject: {{name: "key", tag: tagKey, kind: jsonString}, {name: "value", tag: tagValue, object: valueObject}},
	valueObject: {
		{name: "stringValue", tag: tagString, kind: jsonString, alternative: true},
		{name: "intValue", tag: tagInt, kind: jsonInt64, alternative: true},
		{name: "boolValue", tag: tagBool, kind: jsonBool, alternative: true},
		{name: "doubleValue", tag: tagDouble, kind: jsonDouble, alternative: true},
		{name: "arrayValue", tag: tagArray, object: arrayObject, alternative: true},
		{name: "kvlistValue", tag: tagMap, object: mapObject, alternative: true},
		{name: "bytesValue", tag: tagBytes, kind: jsonBase64, alternative: true},
	},
	arrayObject: {{name: "values", tag: tagElement, kind: jsonMessages, object: valueObject}},
	mapObject:   {{name: "values", tag: tagElement, kind: jsonMessages, object: attributeObject}},
}

const decodeJSON = "decode ExportMetricsServiceRequest in JSON: "

// malformedJSON returns the error of a body that is not OTLP in JSON, for a field or the
// body, which has no name.
func malformedJSON(want, field string) error {
	of := ""
	if field != "" {
		of = fmt.Sprintf(" for %q", field)
	}
	return &door.RequestError{Text: decodeJSON + "want " + want + of}
}
