package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/storage"
)

// attribute is a KeyValue.
type attribute struct {
	key   []byte
	value []byte // AnyValue
	text  []byte // value as text, once resolved
}

// parseAttribute decodes a KeyValue, but not its value.
func parseAttribute(m []byte) (a attribute, ok bool) {
	for i := 0; i < len(m); {
		tag, n := wire.Uvarint(m, i)
		if n < 0 {
			return a, false
		}
		var start int
		switch tag {
		case tagKey:
			if start, i = wire.LengthPrefixed(m, n); i >= 0 {
				a.key = m[start:i]
			}
		case tagValue:
			if start, i = wire.LengthPrefixed(m, n); i >= 0 {
				a.value = m[start:i]
			}
		default:
			i = wire.SkipField(m, n, tag, keyValueFields)
		}
		if i < 0 {
			return a, false
		}
	}
	return a, true
}

const (
	// maxValueDepth bounds the nesting of lists and maps in an attribute.
	maxValueDepth = 32
	// maxNestedBytes bounds the encoded size of an attribute that is a list or a map.
	maxNestedBytes = 64 << 10
)

// appendValue appends an AnyValue as text, in the form that the collector's libraries
// and Prometheus give it. Strings are returned as they are.
func appendValue(dst, m []byte) (_ []byte, bad string) {
	tag, field, ok := valueField(m)
	if !ok {
		return dst, "is malformed"
	}
	switch tag {
	case 0:
		return dst, ""
	case tagString:
		return append(dst, field...), ""
	case tagBool:
		u, _ := wire.Uvarint(field, 0)
		return strconv.AppendBool(dst, u != 0), ""
	case tagInt:
		u, _ := wire.Uvarint(field, 0)
		return strconv.AppendInt(dst, int64(u), 10), ""
	case tagDouble:
		v, _ := wire.Double(field, 0)
		return appendDouble(dst, v), ""
	case tagBytes:
		return base64.StdEncoding.AppendEncode(dst, field), ""
	}
	if len(m) > maxNestedBytes {
		return dst, "is a list or map of more than " + strconv.Itoa(maxNestedBytes) + " bytes"
	}
	v, bad := nested(m, 0)
	if bad != "" {
		return dst, bad
	}
	out := bytes.NewBuffer(dst)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // NaN or infinite: the value is empty, as for Prometheus
		return dst, ""
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), ""
}

// valueField returns the tag of the field of an AnyValue, 0 if it has none, and its
// bytes without length. Of several the last counts.
func valueField(m []byte) (tag uint64, field []byte, ok bool) {
	for i := 0; i < len(m); {
		t, n := wire.Uvarint(m, i)
		if n < 0 {
			return 0, nil, false
		}
		start := n
		switch t {
		case tagString, tagArray, tagMap, tagBytes:
			start, i = wire.LengthPrefixed(m, n)
		case tagBool, tagInt:
			_, i = wire.Uvarint(m, n)
		case tagDouble:
			_, i = wire.Uint64(m, n)
		default:
			i, t = wire.SkipField(m, n, t, anyFields), 0
		}
		if i < 0 {
			return 0, nil, false
		}
		if t != 0 {
			tag, field = t, m[start:i]
		}
	}
	return tag, field, true
}

// nested returns the value of an AnyValue for encoding/json.
func nested(m []byte, depth int) (v any, bad string) {
	if depth > maxValueDepth {
		return nil, "is nested more than " + strconv.Itoa(maxValueDepth) + " levels deep"
	}
	tag, field, ok := valueField(m)
	if !ok {
		return nil, "is malformed"
	}
	switch tag {
	case tagString:
		return string(field), ""
	case tagBool:
		u, _ := wire.Uvarint(field, 0)
		return u != 0, ""
	case tagInt:
		u, _ := wire.Uvarint(field, 0)
		return int64(u), ""
	case tagDouble:
		f, _ := wire.Double(field, 0)
		return f, ""
	case tagBytes:
		return field, ""
	case tagArray:
		list := []any{}
		bad = elements(field, func(e []byte) string {
			x, bad := nested(e, depth+1)
			list = append(list, x)
			return bad
		})
		return list, bad
	case tagMap:
		set := map[string]any{}
		bad = elements(field, func(e []byte) string {
			a, ok := parseAttribute(e)
			if !ok {
				return "is malformed"
			}
			x, bad := nested(a.value, depth+1)
			set[string(a.key)] = x
			return bad
		})
		return set, bad
	}
	return nil, ""
}

// elements calls f for the elements of an ArrayValue or KeyValueList.
func elements(m []byte, f func([]byte) (bad string)) (bad string) {
	for i := 0; i < len(m); {
		tag, n := wire.Uvarint(m, i)
		switch {
		case n < 0:
			i = n
		case tag == tagElement:
			var start int
			if start, i = wire.LengthPrefixed(m, n); i >= 0 {
				if bad := f(m[start:i]); bad != "" {
					return bad
				}
			}
		default:
			i = wire.SkipField(m, n, tag, elementFields)
		}
		if i < 0 {
			return "is malformed"
		}
	}
	return ""
}

// appendDouble formats a number as JSON does, and what JSON has no form for as protobuf's
// JSON does.
func appendDouble(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	text, _ := json.Marshal(v) // finite: no error
	return append(dst, text...)
}

// textArena holds texts that are made for labels. Texts of the request stay until its
// end, those of a series until the next one. A text keeps its memory when the arena
// grows.
type textArena struct{ request, current []byte }

// maxArenaBytes is the largest arena that is kept for reuse.
const maxArenaBytes = 64 << 10

func (t *textArena) reset()       { t.request, t.current = t.request[:0], t.current[:0] }
func (t *textArena) resetSeries() { t.current = t.current[:0] }

func (t *textArena) release() {
	if cap(t.request)+cap(t.current) > maxArenaBytes {
		*t = textArena{}
	}
}

// series returns the text that f appends, valid until resetSeries.
func (t *textArena) series(f func(dst []byte) []byte) []byte {
	from := len(t.current)
	t.current = f(t.current)
	return t.current[from:len(t.current):len(t.current)]
}

// keep returns a copy of b, valid until reset.
func (t *textArena) keep(b []byte) []byte {
	from := len(t.request)
	t.request = append(t.request, b...)
	return t.request[from:len(t.request):len(t.request)]
}

// resolve sets the text of an attribute. It returns a refusal if it has none.
func (t *textArena) resolve(set *door.LabelSet, a *attribute) *storage.Reject {
	if tag, field, ok := valueField(a.value); ok && tag == tagString {
		a.text = field
		return nil
	}
	from := len(t.current)
	var bad string
	t.current, bad = appendValue(t.current, a.value)
	a.text = t.current[from:len(t.current):len(t.current)]
	if bad != "" {
		return set.Refuse(storage.ReasonBadLabel, "value of attribute %q %s", excerpt(a.key), bad)
	}
	return nil
}
