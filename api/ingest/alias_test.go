package ingest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
)

// resolves sends a request and returns the number of series whose labels were
// parsed.
func resolves(t *testing.T, m *doortest.Memory, mux *http.ServeMux, target string, body []byte, headers ...string) int {
	t.Helper()
	before := m.Resolves
	if a := do(t, mux, "POST", target, body, headers...); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	return m.Resolves - before
}

func TestRemoteWrite1LooksUpSeriesByLabelBytes(t *testing.T) {
	m := doortest.NewMemory()
	mux := memoryDoor(t, m)
	f := func(want int, series ...prompb.TimeSeries) {
		t.Helper()
		if n := resolves(t, m, mux, "/api/v1/write", doortest.Snap(doortest.Marshal1(t, doortest.Request1(series...))), "Content-Type", type1); n != want {
			t.Errorf("%d series were parsed, want %d", n, want)
		}
	}
	f(2, doortest.Sample1(base, 1, "__name__", "m", "a", "1"), doortest.Sample1(base, 1, "__name__", "m", "a", "2"))
	f(0, doortest.Sample1(base, 2, "__name__", "m", "a", "2"), doortest.Sample1(base+5, 3, "__name__", "m", "a", "1"))
	f(1, doortest.Sample1(base, 2, "a", "2", "__name__", "m")) // another order is another alias ...
	f(0, doortest.Sample1(base, 2, "a", "2", "__name__", "m"))
	if len(m.Series) != 2 { // ... of the same series
		t.Errorf("series %v", m.Series)
	}
	f(1, doortest.Sample1(base, 2, "__name__", "m", "a1", ""), doortest.Sample1(base, 2, "__name__", "m", "a", "1"))
}

func TestRemoteWrite1StoresManySeries(t *testing.T) {
	m := doortest.NewMemory()
	mux := memoryDoor(t, m)
	for _, n := range []int{door.GroupSeries - 1, door.GroupSeries, door.GroupSeries + 1, 3*door.GroupSeries + 7} {
		var q1 prompb.WriteRequest
		b2 := doortest.NewBuilder2()
		for i := range n {
			q1.Timeseries = append(q1.Timeseries, doortest.Sample1(base, float64(i), "__name__", "m", "i", fmt.Sprint(i)))
			b2.Sample(base, float64(i), "__name__", "m", "i", fmt.Sprint(i))
		}
		for range 2 {
			for version, body := range map[string][]byte{type1: doortest.Marshal1(t, &q1), type2: doortest.Marshal2(t, b2.Request())} {
				resolves(t, m, mux, "/api/v1/write", doortest.Snap(body), "Content-Type", version)
				if len(m.Samples) != n {
					t.Fatalf("%d samples of %d", len(m.Samples), n)
				}
				for i, s := range m.Samples {
					if s.Series != fmt.Sprintf(`{__name__="m", i="%d"}`, i) || s.V != float64(i) {
						t.Fatalf("sample %d: %+v", i, s)
					}
				}
			}
		}
	}
}

func TestRemoteWrite2AliasIsIndependentOfSymbolNumbers(t *testing.T) {
	m := doortest.NewMemory()
	mux := memoryDoor(t, m)
	f := func(want int, q *writev2.Request) {
		t.Helper()
		if n := resolves(t, m, mux, "/api/v1/write", doortest.Snap(doortest.Marshal2(t, q)), "Content-Type", type2); n != want {
			t.Errorf("%d series were parsed, want %d", n, want)
		}
	}
	f(2, doortest.NewBuilder2().Sample(base, 1, "__name__", "m", "a", "1").Sample(base, 1, "__name__", "m", "a", "2").Request())
	b := doortest.NewBuilder2()
	b.Refs("other", "symbols", "2", "a") // come first and shift the others
	f(0, b.Sample(base, 1, "__name__", "m", "a", "2").Sample(base, 1, "__name__", "m", "a", "1").Request())
	// The same numbers for other strings are another series.
	f(1, &writev2.Request{Symbols: []string{"", "__name__", "m", "a", "3"}, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1, 2, 3, 4}, Samples: []writev2.Sample{{Timestamp: base}}}}})
	// Strings that are equal only when concatenated are another series.
	f(2, doortest.NewBuilder2().Sample(base, 1, "__name__", "m", "ab", "c").Sample(base, 1, "__name__", "m", "a", "bc").Request())
	if len(m.Series) != 5 {
		t.Errorf("series %v", m.Series)
	}
}

func TestInfluxLooksUpSeriesByKeyAndField(t *testing.T) {
	m := doortest.NewMemory()
	mux := memoryDoor(t, m)
	f := func(want int, target, body string) {
		t.Helper()
		if n := resolves(t, m, mux, target, []byte(body)); n != want {
			t.Errorf("%d series were parsed, want %d", n, want)
		}
	}
	f(3, "/write", "m,t=a v=1,w=2\nn v=1")
	f(0, "/write", "n v=5 1\nm,t=a w=2i,v=t 7")
	f(1, "/write", "m,t=a v=1,x=2") // one field is new
	f(1, "/write?db=d", "m,t=a v=1")
	f(0, "/api/v2/write?bucket=d/autogen", "m,t=a v=1")
	f(2, "/write", "mv v=1\nm vv=1")
	want := []string{`{__name__="m_v", db="d", t="a"}`, `{__name__="m_v", t="a"}`, `{__name__="m_vv"}`, `{__name__="m_w", t="a"}`, `{__name__="m_x", t="a"}`, `{__name__="mv_v"}`, `{__name__="n_v"}`}
	got := slices.Sorted(maps.Keys(m.Series))
	if !slices.Equal(got, want) {
		t.Errorf("series\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRefusedSeriesGetNoAlias(t *testing.T) {
	m := doortest.NewMemory()
	mux := memoryDoor(t, m)
	for range 2 {
		a := do(t, mux, "POST", "/write", []byte("m,t=a,t=b v=1\nm v=1"))
		if a.code != 400 || len(m.Samples) != 1 || len(m.Known) != 1 {
			t.Errorf("%d %s: %v", a.code, a.body, m.Known)
		}
	}
}
