package ingest

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/doortest"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
)

func TestRemoteWriteKeepsValuesBitForBit(t *testing.T) {
	values := []float64{0, math.Copysign(0, -1), 1, -1.5, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1),
		math.Float64frombits(value.NormalNaN), math.Float64frombits(0x7ff8dead0000beef), math.Float64frombits(value.StaleNaN)}
	series1, b2 := prompb.TimeSeries{Labels: doortest.Labels1("__name__", "one")}, doortest.NewBuilder2()
	series2 := writev2.TimeSeries{}
	for i, v := range values {
		series1.Samples = append(series1.Samples, prompb.Sample{Timestamp: base + int64(i), Value: v})
		series2.Samples = append(series2.Samples, writev2.Sample{Timestamp: base + int64(i), Value: v})
	}
	d := openDoor(t)
	if a := d.write1(doortest.Request1(series1)); a.code != 204 {
		t.Fatalf("version 1: %d %s", a.code, a.body)
	}
	if a := d.write2(b2.Add(series2, "__name__", "two").Request()); a.code != 204 {
		t.Fatalf("version 2: %d %s", a.code, a.body)
	}
	for _, name := range []string{`{__name__="one"}`, `{__name__="two"}`} {
		got := d.stored()[name]
		for i, v := range values {
			if i == 1 {
				continue // the generated marshaller omits -0; see the next test
			}
			if got.T[i] != base+int64(i) || math.Float64bits(got.V[i]) != math.Float64bits(v) {
				t.Errorf("%s: sample %d is %d %x, want %x", name, i, got.T[i], math.Float64bits(got.V[i]), math.Float64bits(v))
			}
		}
	}
}

func TestRemoteWriteReadsSamplesInAnyWireOrder(t *testing.T) {
	// -0 as eight bytes, time before value, a value twice, unknown fields.
	var sample []byte
	sample = append(sample, tagSampleTime)
	sample = appendVarint(sample, uint64(base))
	sample = append(sample, tagSampleValue, 1, 2, 3, 4, 5, 6, 7, 8)
	sample = append(sample, 15<<3|wire.Bytes, 3, 'a', 'b', 'c', 14<<3|wire.Fixed32, 0, 0, 0, 0, 13<<3|wireGroup, 1<<3, 5, 13<<3|wireGroupEnd)
	sample = append(sample, tagSampleValue, 0, 0, 0, 0, 0, 0, 0, 0x80)
	label := []byte("\x0a\x08__name__\x12\x01m")
	extra := []byte("\x12\x01b\x0a\x01a")
	var series []byte
	series = append(series, tag1Label, byte(len(extra)))
	series = append(series, extra...)
	series = append(series, tag1Sample, byte(len(sample)))
	series = append(series, sample...)
	series = append(series, tag1Label, byte(len(label))) // after the sample
	series = append(series, label...)
	message := append([]byte{tag1Series, byte(len(series))}, series...)
	d := openDoor(t)
	if a := d.do("POST", "/api/v1/write", doortest.Snap(message), "Content-Type", type1); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	got := d.stored()[`{__name__="m", a="b"}`]
	if got == nil || got.T[0] != base || math.Float64bits(got.V[0]) != 1<<63 {
		t.Errorf("stored %v", got)
	}
}

// Tags of remote write as its documents state them, and the wire types of groups.
const (
	tag1Series   = 1<<3 | wire.Bytes
	tag1Metadata = 3<<3 | wire.Bytes
	tag1Label    = 1<<3 | wire.Bytes
	tag1Sample   = 2<<3 | wire.Bytes

	tag2Symbol    = 4<<3 | wire.Bytes
	tag2Series    = 5<<3 | wire.Bytes
	tag2LabelRefs = 1<<3 | wire.Bytes
	tag2Sample    = 2<<3 | wire.Bytes

	tagSampleValue = 1<<3 | wire.Fixed64
	tagSampleTime  = 2<<3 | wire.Varint

	wireGroup    = 3
	wireGroupEnd = 4
)

func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func TestRemoteWrite2KeepsStartTimestamps(t *testing.T) {
	d := openDoor(t)
	b := doortest.NewBuilder2().Add(writev2.TimeSeries{Samples: []writev2.Sample{
		{Timestamp: base, Value: 1, StartTimestamp: base - 1000}, {Timestamp: base + 1, Value: 2}, {Timestamp: base + 2, Value: 3, StartTimestamp: base + 1}}}, "__name__", "m")
	if a := d.write2(b.Request()); a.code != 204 {
		t.Fatalf("got %d %q", a.code, a.body)
	}
	got := d.stored()[`{__name__="m"}`]
	if want := []int64{base - 1000, 0, base + 1}; !slices.Equal(got.ST, want) || !slices.Equal(got.V, []float64{1, 2, 3}) {
		t.Errorf("stored %v %v, want %v", got.V, got.ST, want)
	}
}

func TestRemoteWriteTakesSamplesInAnyOrder(t *testing.T) {
	retention := testNow.UnixMilli() - 30*model.DayMs
	future := testNow.UnixMilli() + 2*model.DayMs
	for _, c := range []struct {
		name  string
		times []int64
		value []float64
		want  map[int64]float64
		says  []string
	}{
		{name: "older than the newest", times: []int64{base, base - 3_600_000, base - 1}, value: []float64{1, 2, 3}, want: map[int64]float64{base: 1, base - 3_600_000: 2, base - 1: 3}},
		{name: "same again", times: []int64{base, base}, value: []float64{1, 1}, want: map[int64]float64{base: 1}},
		{name: "another value at the same time", times: []int64{base, base}, value: []float64{1, 2}, want: map[int64]float64{base: 2}},
		{name: "a marker does not replace a number", times: []int64{base, base}, value: []float64{1, math.Float64frombits(value.StaleNaN)}, want: map[int64]float64{base: 1}},
		{name: "a day ahead", times: []int64{base + model.DayMs}, value: []float64{1}, want: map[int64]float64{base + model.DayMs: 1}},
		{name: "bounds", times: []int64{retention, future}, value: []float64{1, 2}, want: map[int64]float64{retention: 1, future: 2}},
		{name: "too old", times: []int64{retention - 1, base}, value: []float64{1, 2}, want: map[int64]float64{base: 2}, says: []string{"1 written, 1 refused", "too_old", `for series {__name__="m"}`}},
		{name: "too new", times: []int64{future + 1, base}, value: []float64{1, 2}, want: map[int64]float64{base: 2}, says: []string{"1 written, 1 refused", "too_new", `for series {__name__="m"}`, "out of bounds"}},
		{name: "absurd", times: []int64{math.MinInt64, math.MaxInt64, 0, base}, value: []float64{1, 2, 3, 4}, want: map[int64]float64{base: 4}, says: []string{"1 written, 3 refused"}},
	} {
		check := func(version string, send func(*server) answer) {
			t.Run(c.name+"/"+version, func(t *testing.T) {
				d := openDoor(t)
				a := send(d)
				want := 204
				if c.says != nil {
					want = 400
				}
				if a.code != want {
					t.Errorf("got %d %q, want %d", a.code, a.body, want)
				}
				for _, s := range c.says {
					if !strings.Contains(a.body, s) {
						t.Errorf("%q lacks %q", a.body, s)
					}
				}
				if got := d.storedFloats()[`{__name__="m"}`]; !maps.Equal(got, c.want) {
					t.Errorf("stored %v, want %v", got, c.want)
				}
			})
		}
		check("1", func(d *server) answer {
			s := prompb.TimeSeries{Labels: doortest.Labels1("__name__", "m")}
			for i, at := range c.times {
				s.Samples = append(s.Samples, prompb.Sample{Timestamp: at, Value: c.value[i]})
			}
			return d.write1(doortest.Request1(s))
		})
		check("2", func(d *server) answer {
			b := doortest.NewBuilder2() // one TimeSeries a sample, as some senders do
			for i, at := range c.times {
				b.Sample(at, c.value[i], "__name__", "m")
			}
			return d.write2(b.Request())
		})
	}
}

func TestRepeatedRemoteWriteChangesNothing(t *testing.T) {
	d := openDoor(t)
	b := doortest.NewBuilder2()
	for i := range int64(50) {
		b.Sample(base+i, float64(i), "__name__", "m", "a", "b")
	}
	for range 3 {
		if a := d.write2(b.Request()); a.code != http.StatusNoContent || a.written(t)[0] != "50" {
			t.Fatalf("got %d %q, written %v", a.code, a.body, a.written(t))
		}
		if got := d.stored()[`{__name__="m", a="b"}`]; got.Len() != 50 {
			t.Fatalf("%d samples stored", got.Len())
		}
	}
}
