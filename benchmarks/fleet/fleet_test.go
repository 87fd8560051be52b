package fleet

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
)

func requests(t testing.TB, f *Fleet, k int) []*prompb.WriteRequest {
	t.Helper()
	var all []*prompb.WriteRequest
	s := f.Source(k)
	for {
		raw, n, _ := s.AppendRequest(nil)
		if n == 0 {
			return all
		}
		var m prompb.WriteRequest
		if err := m.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		if len(m.Timeseries) != n {
			t.Fatalf("a request of %d series says it has %d samples", len(m.Timeseries), n)
		}
		all = append(all, &m)
	}
}

func TestSourcesGiveEverySeriesInOrderOfTime(t *testing.T) {
	f := New(Options{Targets: 5, Span: 5 * time.Minute, Start: time.Unix(1_760_000_000, 0)})
	type last struct {
		t int64
		v float64
	}
	seen := map[string]last{}
	total, bytes := 0, 0
	for k := range 2 {
		for _, m := range requests(t, f, k) {
			bytes += m.Size()
			for _, ts := range m.Timeseries {
				if len(ts.Labels) != LabelsPerSeries {
					t.Fatalf("%d labels: %v", len(ts.Labels), ts.Labels)
				}
				if !slices.IsSortedFunc(ts.Labels, func(a, b prompb.Label) int { return strings.Compare(a.Name, b.Name) }) {
					t.Fatalf("labels are not sorted: %v", ts.Labels)
				}
				key := ""
				for _, l := range ts.Labels {
					key += l.Name + "\xff" + l.Value + "\xff"
				}
				s := ts.Samples[0]
				before, ok := seen[key]
				if ok && s.Timestamp <= before.t {
					t.Fatalf("%s: %d after %d", key, s.Timestamp, before.t)
				}
				if ok && strings.Contains(key, "_total\xff") && s.Value < before.v {
					t.Fatalf("%s: counter fell from %v to %v", key, before.v, s.Value)
				}
				seen[key] = last{s.Timestamp, s.Value}
				total++
			}
		}
	}
	if len(seen) != f.Series() || total != f.Samples() || f.Samples() != 5*500*20 {
		t.Fatalf("%d series and %d samples, want %d and %d", len(seen), total, f.Series(), f.Samples())
	}
	if b := bytes / total; b < 240 || b > 310 {
		t.Errorf("%d bytes a sample before compression, want about 277", b)
	}
}

func TestSameSeedSameRequests(t *testing.T) {
	o := Options{Targets: 3, Span: time.Minute, Start: time.Unix(1_760_000_000, 0), Senders: 1}
	a, b := New(o).Source(0), New(o).Source(0)
	for {
		x, n, _ := a.AppendRequest(nil)
		y, _, _ := b.AppendRequest(nil)
		if !bytes.Equal(x, y) {
			t.Fatal("two sources of one fleet differ")
		}
		if n == 0 {
			return
		}
	}
}

// The columns of a target are what the sources send of it.
func TestColumnsAreWhatIsSent(t *testing.T) {
	f := New(Options{Targets: 3, Span: 5 * time.Minute, Start: time.Unix(1_760_000_000, 0), Senders: 1})
	type series struct {
		times  []int64
		values []float64
	}
	sent := map[string]*series{}
	for _, m := range requests(t, f, 0) {
		for _, ts := range m.Timeseries {
			b := labels.NewScratchBuilder(LabelsPerSeries)
			for _, l := range ts.Labels {
				b.Add(l.Name, l.Value)
			}
			key := b.Labels().String()
			if sent[key] == nil {
				sent[key] = &series{}
			}
			sent[key].times = append(sent[key].times, ts.Samples[0].Timestamp)
			sent[key].values = append(sent[key].values, ts.Samples[0].Value)
		}
	}
	for id := range 3 {
		names, times, values := f.Columns(id)
		for i, name := range names {
			s := sent[name.String()]
			if s == nil || !slices.Equal(s.times, times) || !slices.Equal(s.values, values[i]) {
				t.Fatalf("target %d: %s: columns differ from what is sent", id, name)
			}
		}
	}
}

// Several scrapes in a request are the same samples, fewer series are fewer samples.
func TestDelayedSendersSendTheSameSamples(t *testing.T) {
	o := Options{Targets: 3, Span: 5 * time.Minute, Start: time.Unix(1_760_000_000, 0), Senders: 2, Scrapes: 7}
	f := New(o)
	sent := map[string][]prompb.Sample{}
	total := 0
	for _, s := range f.Sources() {
		for {
			raw, n, _ := s.AppendRequest(nil)
			if n == 0 {
				break
			}
			var m prompb.WriteRequest
			if err := m.Unmarshal(raw); err != nil {
				t.Fatal(err)
			}
			for _, ts := range m.Timeseries {
				b := labels.NewScratchBuilder(LabelsPerSeries)
				for _, l := range ts.Labels {
					b.Add(l.Name, l.Value)
				}
				key := b.Labels().String()
				sent[key] = append(sent[key], ts.Samples...)
				n -= len(ts.Samples)
				total += len(ts.Samples)
			}
			if n != 0 {
				t.Fatalf("a request says %d samples more than it has", n)
			}
		}
	}
	if total != f.Samples() {
		t.Fatalf("%d samples, want %d", total, f.Samples())
	}
	for id := range o.Targets {
		names, times, values := f.Columns(id)
		for i, name := range names {
			got := sent[name.String()]
			if len(got) != len(times) {
				t.Fatalf("target %d: %s: %d samples, want %d", id, name, len(got), len(times))
			}
			for j, s := range got {
				if s.Timestamp != times[j] || s.Value != values[i][j] {
					t.Fatalf("target %d: %s: sample %d is %v, want %v at %d", id, name, j, s, values[i][j], times[j])
				}
			}
		}
	}

	o.Keep = func(metric string, value func(string) string) bool {
		return metric == "node_cpu_seconds_total" && value("mode") == "idle" && value("fstype") == ""
	}
	f = New(o)
	if names, times, _ := f.Columns(0); len(names) != 4 || f.Samples() != 3*4*len(times) {
		t.Errorf("%d series, %d samples of %d scrapes", len(names), f.Samples(), len(times))
	}
}

func TestChurnReplacesItsShareOfTargets(t *testing.T) {
	f := New(Options{Targets: 10, Span: 2 * time.Hour, Interval: 5 * time.Minute, Churn: 0.5, Senders: 1, Start: time.Unix(1_760_000_000, 0)})
	instances := map[string]bool{}
	for _, m := range requests(t, f, 0) {
		for _, ts := range m.Timeseries {
			for _, l := range ts.Labels {
				if l.Name == "instance" {
					instances[l.Value] = true
				}
			}
		}
	}
	// 2 h × 0.5 an hour × 10 targets, less the one that would change at the very end.
	if n := len(instances); n < 19 || n > 20 {
		t.Fatalf("%d targets over two hours, want 10 and about 10 successors", n)
	}
}

func TestSendTriesAgainUntilAcknowledged(t *testing.T) {
	answers, samples := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers++
		if answers%3 == 0 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		raw, err := s2.Decode(nil, body)
		var m prompb.WriteRequest
		if err == nil {
			err = m.Unmarshal(raw)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		samples += len(m.Timeseries)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	f := New(Options{Targets: 4, Span: time.Minute, Senders: 1, RequestSamples: 300})
	r, err := f.Send(context.Background(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if r.Samples != f.Samples() || samples != f.Samples() || r.Retries == 0 || r.Requests != 27 {
		t.Fatalf("sent %s; received %d, want %d", r, samples, f.Samples())
	}

	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no such thing", http.StatusBadRequest)
	}))
	defer refuse.Close()
	if _, err := f.Send(context.Background(), refuse.URL); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Fatalf("a refused request gave %v", err)
	}
}

// One iteration is one request of 2,000 samples; MB/s reads as million samples a second.
func BenchmarkRequest(b *testing.B) {
	f := New(Options{Targets: 2000, Span: 1000 * time.Hour, Senders: 1})
	s := f.Source(0)
	var raw []byte
	body := make([]byte, s2.MaxEncodedLen(1<<20))
	b.SetBytes(2000)
	b.ReportAllocs()
	for b.Loop() {
		raw, _, _ = s.AppendRequest(raw[:0])
		body = s2.EncodeSnappy(body[:cap(body)], raw)
	}
	b.ReportMetric(float64(len(body))/2000, "wireB/sample")
	b.ReportMetric(float64(len(raw))/2000, "rawB/sample")
}
