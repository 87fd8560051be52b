package sets

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"tsdb/internal/await"
)

const day = 24 * time.Hour

var start = time.Date(2025, 10, 9, 0, 0, 0, 0, time.UTC)

func groups(t *testing.T, s Set) (all []Series) {
	t.Helper()
	for i := range s.Groups {
		g, err := s.Group(i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g...)
	}
	return all
}

// The sets stand in for their originals: XOR chunks take as many bytes on them.
func TestSetsCompressLikeTheirOriginals(t *testing.T) {
	f := func(set func(Options) Set, want float64) {
		t.Helper()
		s := set(Options{Groups: 10, Start: start, Span: day, Seed: 1})
		bytes, samples := 0, 0
		for _, series := range groups(t, s) {
			n, err := XORBytes(series)
			if err != nil {
				t.Fatal(err)
			}
			bytes += n
			samples += len(series.Times)
		}
		got := float64(bytes) / float64(samples)
		t.Logf("%s: %.4f B/sample, %+.2f %%", s.Name, got, 100*(got/want-1))
		if math.Abs(got/want-1) > 0.05 {
			t.Errorf("%s: %.4f B/sample, want %.4f within 5 %%", s.Name, got, want)
		}
	}
	f(CPUOnly, 1.0251)
	f(DevOps, 1.5414)
	f(Nodes, 3.6594)
	f(Sensors, 6.1171)
	f(Uniform, 7.5202)
}

func TestSetsAreWellFormed(t *testing.T) {
	f := func(set func(Options) Set, seriesPerGroup, samplesPerSeries int) {
		t.Helper()
		o := Options{Groups: 3, Start: start, Span: time.Hour, Seed: 7}
		s := set(o)
		all := groups(t, s)
		if len(all) != 3*seriesPerGroup {
			t.Fatalf("%s: %d series, want %d", s.Name, len(all), 3*seriesPerGroup)
		}
		known := map[uint64]bool{}
		for _, series := range all {
			if h := series.Labels.Hash(); known[h] {
				t.Errorf("%s: %s is there twice", s.Name, series.Labels)
			} else {
				known[h] = true
			}
			if len(series.Times) != samplesPerSeries || len(series.Values) != samplesPerSeries {
				t.Fatalf("%s: %s has %d times and %d values, want %d", s.Name, series.Labels, len(series.Times), len(series.Values), samplesPerSeries)
			}
			if series.Times[0] <= start.UnixMilli() || series.Times[samplesPerSeries-1] > start.Add(o.Span).UnixMilli() {
				t.Errorf("%s: times %d … %d are not in the span", s.Name, series.Times[0], series.Times[samplesPerSeries-1])
			}
			for i := 1; i < samplesPerSeries; i++ {
				if series.Times[i] <= series.Times[i-1] {
					t.Fatalf("%s: times fall at %d", s.Name, i)
				}
			}
		}
		if !reflect.DeepEqual(all, groups(t, set(o))) {
			t.Errorf("%s: two sets of one seed differ", s.Name)
		}
		o.Seed = 8
		if reflect.DeepEqual(all, groups(t, set(o))) {
			t.Errorf("%s: two seeds give the same set", s.Name)
		}
	}
	f(CPUOnly, 10, 360)
	f(DevOps, 101, 360)
	f(Nodes, 500, 240)
	f(Sensors, 2, 360)
	f(Uniform, 1, 360)
}

// The sources send the set, each series by one sender and in order.
func TestSourcesSendTheSet(t *testing.T) {
	set := DevOps(Options{Groups: 3, Start: start, Span: time.Hour, Seed: 1})
	sent := map[string]*Series{}
	for k, source := range set.Sources(2) {
		for {
			raw, n, err := source.AppendRequest(nil)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			var m prompb.WriteRequest
			if err := m.Unmarshal(raw); err != nil {
				t.Fatal(err)
			}
			for _, ts := range m.Timeseries {
				b := labels.NewScratchBuilder(len(ts.Labels))
				for _, l := range ts.Labels {
					b.Add(l.Name, l.Value)
				}
				key := fmt.Sprint(k%2, b.Labels())
				if sent[key] == nil {
					sent[key] = &Series{Labels: b.Labels()}
				}
				for _, s := range ts.Samples {
					sent[key].Times = append(sent[key].Times, s.Timestamp)
					sent[key].Values = append(sent[key].Values, s.Value)
					n--
				}
			}
			if n != 0 {
				t.Fatalf("a request says %d samples more than it has", n)
			}
		}
	}
	for i := range set.Groups {
		all, _ := set.Group(i)
		for _, s := range all {
			if got := sent[fmt.Sprint(i%2, s.Labels)]; got == nil || !reflect.DeepEqual(*got, s) {
				t.Fatalf("%s: sent %+v", s.Labels, got)
			}
		}
	}
	if want := 3 * 101; len(sent) != want {
		t.Fatalf("%d series were sent, want %d", len(sent), want)
	}
}

func TestRecordingReturnsWhatWasScraped(t *testing.T) {
	const scrapes = 6
	ctx, cancel := context.WithCancel(context.Background())
	answers := 0
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Two scrapes in one millisecond would have the same timestamp.
		begin := time.Now().UnixMilli()
		await.That(t, "the millisecond passes", func() bool { return time.Now().UnixMilli() != begin })
		switch answers++; {
		case answers == 3:
			w.WriteHeader(http.StatusInternalServerError)
			return
		case answers > scrapes+1:
			cancel()
			<-r.Context().Done() // the recorder has left
			return
		}
		fmt.Fprintf(w, "# TYPE up gauge\nnode_up{a=\"b\"} %d\n", answers)
		if answers != 5 {
			fmt.Fprintf(w, "node_load1 0.%d\n", answers)
		}
	}))
	defer target.Close()
	file := filepath.Join(t.TempDir(), "node.rec")
	n, err := record(ctx, target.Client(), target.URL, 5*time.Millisecond, time.Hour, file)
	if err != nil || n != scrapes {
		t.Fatalf("%d scrapes, %v; want %d", n, err, scrapes)
	}
	if _, err := Record(ctx, target.URL, time.Second, time.Second, file); err == nil {
		t.Error("a recording was written over")
	}

	all := groups(t, Recording(file, start))
	if len(all) != 2 {
		t.Fatalf("%d series: %v", len(all), all)
	}
	up, load := all[0], all[1]
	if want := labels.FromStrings("__name__", "node_up", "a", "b", "instance", "localhost:9100", "job", "node"); !labels.Equal(up.Labels, want) {
		t.Errorf("labels %s, want %s", up.Labels, want)
	}
	if want := []float64{1, 2, 4, 5, 6, 7}; !slices.Equal(up.Values, want) {
		t.Errorf("values %v, want %v", up.Values, want)
	}
	if want := []float64{0.1, 0.2, 0.4, 0.6, 0.7}; !slices.Equal(load.Values, want) {
		t.Errorf("values %v, want %v", load.Values, want)
	}
	if up.Times[0] != start.UnixMilli() || !slices.IsSorted(up.Times) {
		t.Errorf("times %v, want them to begin at %d", up.Times, start.UnixMilli())
	}
	if want := slices.Delete(slices.Clone(up.Times), 3, 4); !slices.Equal(load.Times, want) {
		t.Errorf("times %v, want %v", load.Times, want)
	}
}

// The flushed part of a recording without an end is readable.
func TestRecordingWithoutItsEnd(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for i := range 3 {
		page := fmt.Sprintf("node_load1 %d\n", i)
		head := binary.AppendUvarint(nil, uint64(1e12+1000*i))
		head = binary.AppendUvarint(head, uint64(len(page)))
		if _, err := z.Write(append(head, page...)); err != nil {
			t.Fatal(err)
		}
		if err := z.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	all, err := readRecording(bytes.NewReader(b.Bytes()), start)
	if err != nil || len(all) != 1 || !slices.Equal(all[0].Values, []float64{0, 1, 2}) {
		t.Errorf("without the end: %v, %v", all, err)
	}
	all, err = readRecording(bytes.NewReader(b.Bytes()[:b.Len()-10]), start)
	if err != nil || len(all) != 1 || !slices.Equal(all[0].Values, []float64{0, 1}) {
		t.Errorf("cut in the third scrape: %v, %v", all, err)
	}
	if all, err := readRecording(bytes.NewReader(nil), start); err == nil {
		t.Errorf("an empty file gave %v", all)
	}
}

func TestOnlyKeepsMetrics(t *testing.T) {
	set := CPUOnly(Options{Groups: 1, Start: time.Unix(0, 0), Span: time.Minute, Step: 20 * time.Second, Seed: 1}).Only("cpu_usage_user", "cpu_usage_idle")
	series, err := set.Group(0)
	if err != nil || len(series) != 2 || len(series[0].Times) != 3 {
		t.Fatalf("%d series, %v", len(series), err)
	}
	for i, name := range []string{"cpu_usage_user", "cpu_usage_idle"} {
		if got := series[i].Labels.Get("__name__"); got != name {
			t.Errorf("series %d is %s, want %s", i, got, name)
		}
	}
}
