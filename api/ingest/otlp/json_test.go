package otlp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	"tsdb/storage"
)

func marshalJSON(t testing.TB, md pmetric.Metrics) []byte {
	t.Helper()
	b, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var testLimit = reqbody.Limit{Bytes: 32 << 20, Setting: "limit.body"}

func transcode(t testing.TB, src string) ([]byte, error) {
	t.Helper()
	charge := reqbody.NewBudget(reqbody.Options{Limit: reqbody.DefaultLimit}).NewCharge()
	return new(transcoder).transcode(t.Context(), []byte(src), testLimit, charge)
}

// TestJSONSaysWhatProtobufSays: random requests, good and bad, in both forms have the
// same outcome, however the JSON is written.
func TestJSONSaysWhatProtobufSays(t *testing.T) {
	for name, s := range settingsUnderTest {
		for seed := range uint64(30) {
			r := rand.New(rand.NewPCG(seed, 31))
			md := randomMetrics(r)
			spoil(r, md)
			plain := marshalJSON(t, md)
			m, want, err := decode(t, s, marshal(t, md))
			if err != nil {
				t.Fatal(err)
			}
			wanted, rejects := recordOf(m), m.Rejects.List()
			for form, src := range map[string][]byte{"plain": plain, "rewritten": rewritten(t, r, plain)} {
				out, err := transcode(t, string(src))
				if err != nil {
					t.Fatalf("%s: %v\n%s", form, err, src)
				}
				m, o, err := decode(t, s, out)
				if err != nil || o != want {
					t.Fatalf("%s: %+v %v, want %+v", form, o, err, want)
				}
				if got := recordOf(m); !reflect.DeepEqual(got, wanted) || !reflect.DeepEqual(m.Rejects.List(), rejects) {
					t.Fatalf("%s, seed %d, %s:\n got %v\nwant %v\n%s", name, seed, form, got, wanted, src)
				}
			}
		}
	}
}

// spoil makes some data points that are refused.
func spoil(r *rand.Rand, md pmetric.Metrics) {
	ms := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	if r.IntN(2) == 0 {
		gaugeOf(ms, "bad", 1).SetTimestamp(0)
		noValue(ms.AppendEmpty())
		v := gaugeOf(ms, "bad", 1).Attributes().PutEmpty("deep")
		for range maxValueDepth + 2 {
			v = v.SetEmptySlice().AppendEmpty()
		}
		h := ms.AppendEmpty()
		h.SetName("delta")
		h.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		h.Histogram().DataPoints().AppendEmpty().SetTimestamp(nano)
	}
}

// rewritten writes JSON in another way: with members in another order, unknown ones
// between them, white space, escapes, and numbers as strings or the reverse.
func rewritten(t *testing.T, r *rand.Rand, src []byte) []byte {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	var write func(key string, v any)
	text := func(s string) {
		out.WriteByte('"')
		for _, c := range s {
			if c > 0xffff || r.IntN(8) > 0 {
				b, _ := json.Marshal(string(c)) // text: no error
				out.Write(bytes.Trim(b, `"`))
				if c == '"' {
					out.WriteByte('"') // trimmed after its backslash
				}
				continue
			}
			fmt.Fprintf(&out, `\u%04X`, c)
		}
		out.WriteByte('"')
	}
	write = func(key string, v any) {
		out.WriteString([]string{"", " ", "\n\t"}[r.IntN(3)])
		switch v := v.(type) {
		case map[string]any:
			keys := make([]string, 0, len(v)+1)
			for k := range v {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			if r.IntN(4) == 0 {
				keys, v["new_field"] = append(keys, "new_field"), []any{map[string]any{"x": nil, "y": "z"}, true, json.Number("-1e3")}
			}
			if r.IntN(4) == 0 && v["schemaUrl"] == nil {
				keys, v["schemaUrl"] = append(keys, "schemaUrl"), nil
			}
			r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			out.WriteByte('{')
			for i, k := range keys {
				if i > 0 {
					out.WriteByte(',')
				}
				text(k)
				out.WriteString([]string{":", " : "}[r.IntN(2)])
				write(k, v[k])
			}
			out.WriteByte('}')
		case []any:
			out.WriteByte('[')
			for i, x := range v {
				if i > 0 {
					out.WriteString(" ,")
				}
				write(key, x)
			}
			out.WriteByte(']')
		case string:
			if _, err := strconv.ParseInt(v, 10, 64); err == nil && (key == "asInt" || key == "intValue" || key == "bucketCounts" || key == "timeUnixNano") && r.IntN(2) == 0 {
				out.WriteString(v)
				return
			}
			if key == "traceId" {
				v = strings.ToUpper(v)
			}
			text(v)
		case json.Number:
			if r.IntN(4) == 0 {
				text(v.String())
				return
			}
			out.WriteString(v.String())
		default:
			b, _ := json.Marshal(v) // a bool or null
			out.Write(b)
		}
	}
	write("", v)
	return out.Bytes()
}

// TestNumbersOfJSON are read exactly.
func TestNumbersOfJSON(t *testing.T) {
	value := func(field, text string) string {
		return `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"timeUnixNano":1,"` + field + `":` + text + `}]}}]}]}]}`
	}
	for _, c := range []struct{ field, text, want string }{
		{"asInt", `"9007199254740993"`, "9.007199254740992e+15"},
		{"asInt", `-3`, "-3"},
		{"asInt", `"-9223372036854775808"`, "-9.223372036854775808e+18"},
		{"asInt", `1e3`, "1000"},
		{"asInt", `2.0`, "2"},
		{"asInt", `"9223372036854775808"`, ""},
		{"asInt", `-9223372036854775809`, ""},
		{"asInt", `1.5`, ""},
		{"asInt", `""`, ""},
		{"asInt", `true`, ""},
		{"asDouble", `"NaN"`, "NaN"},
		{"asDouble", `"-Infinity"`, "-Inf"},
		{"asDouble", `"0.1"`, "0.1"},
		{"asDouble", `5e-324`, "5e-324"},
		{"asDouble", `1e999`, ""},
		{"asDouble", `NaN`, ""},
		{"asDouble", `"Inf"`, ""},
		{"asDouble", `--1`, ""},
		{"flags", `4294967295`, "stale"},
		{"flags", `4294967296`, ""},
		{"flags", `-1`, ""},
		{"startTimeUnixNano", `18446744073709551615`, "no value"},
		{"startTimeUnixNano", `18446744073709551616`, ""},
	} {
		src, err := transcode(t, value(c.field, c.text))
		if (err != nil) != (c.want == "") {
			t.Errorf("%s %s: %v", c.field, c.text, err)
		}
		if err != nil {
			continue
		}
		m, _, err := decode(t, Settings{}, src)
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "no value" || c.want == "stale" {
			if (len(m.Samples) == 0) != (c.want == "no value") {
				t.Errorf("%s %s: %v", c.field, c.text, m.Samples)
			}
			continue
		}
		want, err := strconv.ParseFloat(c.want, 64)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Samples) != 1 || m.Samples[0].V != want && want == want {
			t.Errorf("%s %s: %v, want %v", c.field, c.text, m.Samples, want)
		}
	}
}

// TestMalformedJSONIsRefused: with where it ends to be JSON, or the field and what was
// wanted.
func TestMalformedJSONIsRefused(t *testing.T) {
	deep := func(n int, begin, end string) string {
		return `{"resourceMetrics":[{"scopeMetrics":[{"scope":{"attributes":[{"key":"k","value":` + strings.Repeat(begin, n) + `{}` + strings.Repeat(end, n) + `}]}}]}]}`
	}
	for _, c := range []struct{ src, want string }{
		{``, `malformed JSON after 0 bytes`},
		{`[]`, `want an object`},
		{`{}x`, `malformed JSON after 3 bytes`},
		{`{}{}`, `malformed JSON after 3 bytes`},
		{`{"resourceMetrics":[{}`, `malformed JSON after 22 bytes`},
		{`{"resourceMetrics":[{},]}`, `malformed JSON after 24 bytes`},
		{`{"resourceMetrics":{}}`, `want an array for "resourceMetrics"`},
		{`{"resourceMetrics":[null]}`, `want an object for "resourceMetrics"`},
		{`{"resourceMetrics":[],"resourceMetrics":[]}`, `want no second value for "resourceMetrics"`},
		{`{"a" 1}`, `malformed JSON after 6 bytes`},
		{`{a:1}`, `malformed JSON after 2 bytes`},
		{`{"a":tru}`, `malformed JSON after 9 bytes`},
		{`{"a":1`, `malformed JSON after 6 bytes`},
		{"{\"a\n\":1}", `malformed JSON after 4 bytes`},
		{`{"\x":1}`, `malformed JSON after 4 bytes`},
		{`{"\u12g4":1}`, `malformed JSON after 7 bytes`},
		{`{"a":+1}`, `malformed JSON after 6 bytes`},
		{`{"a":NaN}`, `malformed JSON after 6 bytes`},
		{`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{},"sum":{}}]}]}]}`, `want no second value for "sum"`},
		{`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":1}]}]}]}`, `want a string for "name"`},
		{`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"aggregationTemporality":"DELTA"}}]}]}]}`, `want a number of the field's type for "aggregationTemporality"`},
		{`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"isMonotonic":1}}]}]}]}`, `want true or false for "isMonotonic"`},
		{`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"asInt":[]}]}}]}]}]}`, `want a number for "asInt"`},
		{`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"exemplars":[{"traceId":"xyz"}]}]}}]}]}]}`, `want hexadecimal digits for "traceId"`},
		{`{"resourceMetrics":[{"resource":{"attributes":[{"key":"a","value":{"bytesValue":"*"}}]}}]}`, `want base64 for "bytesValue"`},
		{deep(70, `{"arrayValue":{"values":[`, `]}}`), `want at most 100 levels`},
		{deep(100, `[`, `]`), `want an object`},
		{`{"a":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `}`, `more than 300 levels`},
		{`{"a":` + strings.Repeat("[", 1_000_000), `malformed JSON`},
	} {
		_, err := transcode(t, c.src)
		var request *door.RequestError
		if !errors.As(err, &request) || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 300 {
			t.Errorf("%s: %v, want %s", door.Clip(c.src, 100), err, c.want)
		}
	}
}

// TestJSONThatGrowsIsBounded: two bytes of a bucket count become eight. What they become
// is charged, and as large as a body may be.
func TestJSONThatGrowsIsBounded(t *testing.T) {
	src := []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[0` + strings.Repeat(",0", 1<<20) + `]}]}}]}]}]}`)
	budget := reqbody.NewBudget(reqbody.Options{Limit: 1 << 30})
	for limit, ok := range map[int64]bool{9 << 20: true, 7 << 20: false} {
		charge := budget.NewCharge()
		out, err := new(transcoder).transcode(t.Context(), src, reqbody.Limit{Bytes: limit, Setting: "limit.body"}, charge)
		if (err == nil) != ok || !ok && !(errors.Is(err, reqbody.ErrTooLarge) && strings.Contains(err.Error(), "--limit.body")) {
			t.Errorf("limit %d: %d bytes, %v", limit, len(out), err)
		}
		if n := budget.Used(); n < int64(cap(out)) || n > 3*limit { // that of the tree is given back
			t.Errorf("limit %d: %d bytes charged", limit, n)
		}
		charge.Release()
	}
}

// FuzzJSON checks that whatever is accepted becomes a message that decodes, and the same
// way again.
func FuzzJSON(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(marshalJSON(f, randomMetrics(rand.New(rand.NewPCG(seed, 1)))))
	}
	f.Add([]byte(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"\ud83d\u0041","value":{"bytesValue":"_-8="}}]}}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		out, err := transcode(t, string(src))
		if err != nil {
			return
		}
		m := doortest.NewMemory()
		h := New(door.NewShared(door.Options{Backend: doortest.Backend{Store: m}, Seed: 42, Limits: door.Limits{Labels: 8, NameBytes: 64, ValueBytes: 64}}), Settings{})
		q, err := h.acquire()
		if err != nil {
			t.Fatal(err)
		}
		if err := doortest.Twice(t, m, func() (storage.Receipt, error) {
			q.Decoder.src = out
			return q.Store(t.Context())
		}); err != nil {
			t.Fatalf("%v\n%s\n%x", err, src, out)
		}
	})
}
