package ingest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// TestExtremeTimesAreRefusedByEveryDoor: every door refuses samples with timestamps
// out of range and stores the others, also with unlimited retention.
func TestExtremeTimesAreRefusedByEveryDoor(t *testing.T) {
	forEver := func(_ *Options, so *storage.Options) { so.RetentionMs = 0 }
	const says = "out of bounds: "
	check := func(t *testing.T, d *server, at, st int64, ok bool, refusal string) {
		t.Helper()
		if ok != (refusal == "") {
			t.Errorf("sample at %d, start %d: refused with %q", at, st, refusal)
		}
		if !ok && (!strings.Contains(refusal, says) || !strings.Contains(refusal, "bad")) {
			t.Errorf("sample at %d, start %d: refused with %q, want %q and the series", at, st, refusal, says)
		}
		want := []string{`{__name__="good"}`}
		if ok {
			want = append([]string{`{__name__="bad", a="x"}`}, want...)
		}
		if got := d.storedSeries(); !slices.Equal(got, want) {
			t.Errorf("sample at %d, start %d: stored %q, want %q", at, st, got, want)
		}
		if _, err := d.db.Compact(t.Context()); err != nil {
			t.Errorf("sample at %d, start %d: %v", at, st, err)
		}
		if got := d.storedSeries(); !slices.Equal(got, want) {
			t.Errorf("sample at %d, start %d, merged: %q, want %q", at, st, got, want)
		}
	}
	refused := func(a answer) string {
		if a.code < 300 {
			return ""
		}
		return fmt.Sprint(a.code, " ", a.body)
	}
	good1 := prompb.TimeSeries{Labels: doortest.Labels1("__name__", "good"), Samples: []prompb.Sample{{Timestamp: base, Value: 1}}}
	good2 := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: base, Value: 1}}}
	h := doortest.NewHistogram()
	for _, c := range []struct {
		at, st int64
		ok     bool
	}{
		{math.MinInt64, 0, false}, {-9223372036854775000, 0, false}, {math.MaxInt64, 0, false},
		{model.MinTime - 1, 0, false}, {model.MinTime, 0, true}, {0, 0, true}, {model.MaxTime + 1, 0, false},
		{base, math.MinInt64, false}, {base, model.MinTime, true}, {base, math.MaxInt64, false},
	} {
		for _, kind := range []string{"sample", "histogram"} {
			if c.st == 0 {
				d, s := openDoor(t, forEver), prompb.TimeSeries{Labels: doortest.Labels1("__name__", "bad", "a", "x")}
				if kind == "sample" {
					s.Samples = []prompb.Sample{{Timestamp: c.at, Value: 1}}
				} else {
					s.Histograms = []prompb.Histogram{prompb.FromIntHistogram(c.at, h)}
				}
				check(t, d, c.at, c.st, c.ok, refused(d.write1(doortest.Request1(s, good1))))
			}
			d, s := openDoor(t, forEver), writev2.TimeSeries{}
			if kind == "sample" {
				s.Samples = []writev2.Sample{{Timestamp: c.at, Value: 1, StartTimestamp: c.st}}
			} else {
				s.Histograms = []writev2.Histogram{writev2.FromIntHistogram(c.st, c.at, h)}
			}
			check(t, d, c.at, c.st, c.ok, refused(d.write2(doortest.NewBuilder2().Add(s, "__name__", "bad", "a", "x").Add(good2, "__name__", "good").Request())))
		}

		d := openDoor(t, forEver)
		client, _ := serveRPC(t, d.in)
		send, _ := openWrite(t, client)
		got, err := send(&tsdbv1.WriteRequest{Sequence: 1, Series: []*tsdbv1.SeriesSamples{
			{Labels: rpcLabels("__name__", "bad", "a", "x"), TimesMs: []int64{c.at}, Values: []float64{1}, StartTimesMs: []int64{c.st}},
			{Labels: rpcLabels("__name__", "good"), TimesMs: []int64{base}, Values: []float64{1}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		refusal := ""
		for _, r := range got.Rejected {
			if refusal = r.Example; r.Reason != "bad_time" {
				t.Errorf("reason %q", r.Reason)
			}
		}
		check(t, d, c.at, c.st, c.ok, refusal)
	}
}

func TestExtremeTimesOfExemplarsAreRefused(t *testing.T) {
	for _, at := range []int64{math.MinInt64, model.MinTime - 1, model.MaxTime + 1, math.MaxInt64} {
		d := openDoor(t, func(_ *Options, so *storage.Options) { so.RetentionMs = 0 })
		b := doortest.NewBuilder2()
		a := d.write2(b.Add(writev2.TimeSeries{
			Samples:   []writev2.Sample{{Timestamp: base, Value: 1}},
			Exemplars: []writev2.Exemplar{{Timestamp: at, Value: 1}},
		}, "__name__", "good").Request())
		if a.code != 400 || !strings.Contains(a.body, "out of bounds: ") || !strings.Contains(a.body, "bad_time, 1") {
			t.Errorf("exemplar at %d: %d %s", at, a.code, a.body)
		}
		// The status of version 1 does not depend on exemplars.
		d.write1(doortest.Request1(prompb.TimeSeries{
			Labels: doortest.Labels1("__name__", "good"), Samples: []prompb.Sample{{Timestamp: base, Value: 1}},
			Exemplars: []prompb.Exemplar{{Labels: doortest.Labels1("trace_id", "x"), Timestamp: at, Value: 1}},
		}))
		if _, err := d.db.Compact(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestExtremeTimesOfLinesAreRefused(t *testing.T) {
	for _, c := range []struct {
		target, stamp string
		want          int64 // 0 = refused
	}{
		{"/write?precision=ns", "-9223372036854775808", 0},
		{"/write?precision=ns", "-9223372036854775807", 0},
		{"/write?precision=ns", "-9223372036854775806", model.MinTime},
		{"/write?precision=ns", "9223372036854775807", 0},
		{"/write?precision=ns", "9223372036854775808", 0},
		{"/write?precision=ms", "-9223372036854775000", 0},
		{"/write?precision=ms", "-9223372036855", 0},
		{"/write?precision=ms", "-9223372036854", -9223372036854},
		{"/write?precision=s", "-9223372036854775808", 0},
		{"/write?precision=s", "9223372036854775807", 0},
		{"/write?precision=s", "-9223372036", -9223372036000},
		{"/write?precision=s", "18446744073709551615", 0},
		{"/write?precision=m", "307445734561825860", 0}, // × 60 s is about 2^64
		{"/write?precision=h", "-2562047", -2562047 * model.HourMs},
		{"/write?precision=h", "-2562048", 0},
		{"/write?precision=h", "5124095576030431", 0}, // × 3600 s is about 2^64
		{"/write?precision=h", "9223372036854775807", 0},
		{"/api/v2/write?precision=ns", "-9223372036854775808", 0},
		{"/api/v2/write?precision=us", "-9223372036854775000", 0},
		{"/api/v2/write?precision=ms", "9223372036854775807", 0},
		{"/api/v2/write?precision=s", "9223372036854775807", 0},
	} {
		d := openDoor(t, func(_ *Options, so *storage.Options) { so.RetentionMs = 0 })
		a := d.do("POST", c.target, []byte("bad v=1 "+c.stamp+"\ngood v=1"))
		if c.want != 0 {
			if got := d.storedFloats()[`{__name__="bad_v"}`]; a.code != 204 || got[c.want] != 1 {
				t.Errorf("%s %s: %d %s, stored %v", c.target, c.stamp, a.code, a.body, got)
			}
		} else if a.code != 400 || !strings.Contains(a.body, "time outside range") || !slices.Equal(d.storedSeries(), []string{`{__name__="good_v"}`}) {
			t.Errorf("%s %s: %d %s, stored %v", c.target, c.stamp, a.code, a.body, d.storedSeries())
		}
		if _, err := d.db.Compact(t.Context()); err != nil {
			t.Errorf("%s %s: %v", c.target, c.stamp, err)
		}
	}
}
