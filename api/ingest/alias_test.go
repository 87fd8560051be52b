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
)

func TestAliasSeedDependsOnEverythingThatChangesLabels(t *testing.T) {
	seen := map[uint64]string{}
	f := func(name string, seed uint64) {
		t.Helper()
		if other, ok := seen[seed]; ok {
			t.Errorf("%s and %s share a seed", name, other)
		}
		if seed == 0 {
			t.Errorf("%s: no seed", name)
		}
		seen[seed] = name
	}
	f("version 1", aliasSeed(1, protocolWrite1, 0))
	f("version 2", aliasSeed(1, protocolWrite2, 0))
	f("influx", aliasSeed(1, protocolInflux, 0))
	f("another process", aliasSeed(2, protocolInflux, 0))
	f("another configuration", aliasSeed(1, protocolInflux, 1))
	f("a database", aliasSeed(1, protocolInflux, 0, "db", "a"))
	f("another database", aliasSeed(1, protocolInflux, 0, "db", "b"))
	f("another label", aliasSeed(1, protocolInflux, 0, "bucket", "a"))
	f("the border between both", aliasSeed(1, protocolInflux, 0, "dba", ""))
	again := aliasSeed(1, protocolInflux, 0, "db", "a")
	if seen[again] != "a database" {
		t.Error("equal inputs have different seeds")
	}
}

func TestProcessesHaveDifferentAliasSeeds(t *testing.T) {
	if a, b := New(Options{}), New(Options{}); a.seed == b.seed || a.seed == 0 {
		t.Errorf("seeds %x and %x", a.seed, b.seed)
	}
}

// resolves sends a request and returns the number of series whose labels were
// parsed.
func resolves(t *testing.T, m *memory, mux *http.ServeMux, target string, body []byte, headers ...string) int {
	t.Helper()
	before := m.resolve
	if a := do(t, mux, "POST", target, body, headers...); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	return m.resolve - before
}

func TestRemoteWrite1LooksUpSeriesByLabelBytes(t *testing.T) {
	m := newMemory()
	mux := memoryDoor(t, m)
	f := func(want int, series ...prompb.TimeSeries) {
		t.Helper()
		if n := resolves(t, m, mux, "/api/v1/write", snap(marshal1(t, request1(series...))), "Content-Type", type1); n != want {
			t.Errorf("%d series were parsed, want %d", n, want)
		}
	}
	f(2, sample1(base, 1, "__name__", "m", "a", "1"), sample1(base, 1, "__name__", "m", "a", "2"))
	f(0, sample1(base, 2, "__name__", "m", "a", "2"), sample1(base+5, 3, "__name__", "m", "a", "1"))
	f(1, sample1(base, 2, "a", "2", "__name__", "m")) // another order is another alias ...
	f(0, sample1(base, 2, "a", "2", "__name__", "m"))
	if len(m.series) != 2 { // ... of the same series
		t.Errorf("series %v", m.series)
	}
	f(1, sample1(base, 2, "__name__", "m", "a1", ""), sample1(base, 2, "__name__", "m", "a", "1"))
}

func TestRemoteWrite1StoresManySeries(t *testing.T) {
	m := newMemory()
	mux := memoryDoor(t, m)
	for _, n := range []int{groupSeries - 1, groupSeries, groupSeries + 1, 3*groupSeries + 7} {
		var q1 prompb.WriteRequest
		b2 := newBuilder2()
		for i := range n {
			q1.Timeseries = append(q1.Timeseries, sample1(base, float64(i), "__name__", "m", "i", fmt.Sprint(i)))
			b2.sample(base, float64(i), "__name__", "m", "i", fmt.Sprint(i))
		}
		for range 2 {
			for version, body := range map[string][]byte{type1: marshal1(t, &q1), type2: marshal2(t, b2.request())} {
				resolves(t, m, mux, "/api/v1/write", snap(body), "Content-Type", version)
				if len(m.samples) != n {
					t.Fatalf("%d samples of %d", len(m.samples), n)
				}
				for i, s := range m.samples {
					if s.series != fmt.Sprintf(`{__name__="m", i="%d"}`, i) || s.v != float64(i) {
						t.Fatalf("sample %d: %+v", i, s)
					}
				}
			}
		}
	}
}

func TestRemoteWrite2AliasIsIndependentOfSymbolNumbers(t *testing.T) {
	m := newMemory()
	mux := memoryDoor(t, m)
	f := func(want int, q *writev2.Request) {
		t.Helper()
		if n := resolves(t, m, mux, "/api/v1/write", snap(marshal2(t, q)), "Content-Type", type2); n != want {
			t.Errorf("%d series were parsed, want %d", n, want)
		}
	}
	f(2, newBuilder2().sample(base, 1, "__name__", "m", "a", "1").sample(base, 1, "__name__", "m", "a", "2").request())
	b := newBuilder2()
	b.refs("other", "symbols", "2", "a") // come first and shift the others
	f(0, b.sample(base, 1, "__name__", "m", "a", "2").sample(base, 1, "__name__", "m", "a", "1").request())
	// The same numbers for other strings are another series.
	f(1, &writev2.Request{Symbols: []string{"", "__name__", "m", "a", "3"}, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1, 2, 3, 4}, Samples: []writev2.Sample{{Timestamp: base}}}}})
	// Strings that are equal only when concatenated are another series.
	f(2, newBuilder2().sample(base, 1, "__name__", "m", "ab", "c").sample(base, 1, "__name__", "m", "a", "bc").request())
	if len(m.series) != 5 {
		t.Errorf("series %v", m.series)
	}
}

func TestInfluxLooksUpSeriesByKeyAndField(t *testing.T) {
	m := newMemory()
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
	got := slices.Sorted(maps.Keys(m.series))
	if !slices.Equal(got, want) {
		t.Errorf("series\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRefusedSeriesGetNoAlias(t *testing.T) {
	m := newMemory()
	mux := memoryDoor(t, m)
	for range 2 {
		a := do(t, mux, "POST", "/write", []byte("m,t=a,t=b v=1\nm v=1"))
		if a.code != 400 || len(m.samples) != 1 || len(m.known) != 1 {
			t.Errorf("%d %s: %v", a.code, a.body, m.known)
		}
	}
}
