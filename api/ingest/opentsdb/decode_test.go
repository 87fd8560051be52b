package opentsdb

import (
	"encoding/json"
	"math"
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

func acquire(t testing.TB, s door.Store, names door.Names) *door.Request[*decoder] {
	t.Helper()
	return doortest.Acquire(t, New(doortest.NewShared(s), names).door)
}

func step(t testing.TB) func(door.Store) doortest.Step {
	open := func(s *door.Shared) *door.Door[*decoder] { return New(s, door.NamesUTF8).door }
	return doortest.StepOf(t, open, func(d *decoder, body []byte) { d.src = body })
}

func BenchmarkDecode(b *testing.B) {
	b.Run("door=opentsdb/series=100k/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, doortest.FleetPoints(100_000), step(b)) })
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, which runs with -short, empties the pool of encoding/json at random")
	}
	doortest.KnownSeriesAllocateNothing(t, doortest.FleetPoints(doortest.FleetSamples)[0], step(t))
}

// FuzzPoints: any body decodes alike with known and new series; one that encoding/json
// takes as data points gives their values.
func FuzzPoints(f *testing.F) {
	for _, s := range []string{
		`[{"metric":"sys.cpu","timestamp":1346846400,"value":18.5,"tags":{"host":"web01","dc":"lga"}},{"metric":"m","timestamp":"1346846400000","value":"-1e3"}]`,
		`{"metric":"m","value":1,"tags":{}}`, `[]`, `[{}]`, `{"metric":1,"timestamp":-1,"value":"x","tags":[1]}`, `[{"metric":"m","value":1},`, `{"metric":"\u00e9","value":null,"tags":{"a":{"b":1}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m := doortest.NewMemory()
		q := acquire(t, m, door.Names(len(src)%2))
		q.Decoder.src, q.Decoder.now = src, doortest.Base
		err := doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) })
		var points []struct {
			Metric    string            `json:"metric"`
			Timestamp int64             `json:"timestamp"`
			Value     float64           `json:"value"`
			Tags      map[string]string `json:"tags"`
		}
		if json.Unmarshal(src, &points) != nil || len(points) == 0 {
			return
		}
		if err != nil || len(m.Samples)+m.Rejected() != len(points) {
			t.Fatalf("%s: %v, %d samples, %d refused, want %d", src, err, len(m.Samples), m.Rejected(), len(points))
		}
		if len(m.Samples) == len(points) {
			for i, p := range points {
				if s := m.Samples[i]; s.V != p.Value && !math.IsNaN(s.V) {
					t.Fatalf("%s: value %v, want %v", src, s.V, p.Value)
				}
			}
		}
	})
}
