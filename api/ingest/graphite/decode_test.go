package graphite

import (
	"bytes"
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
	b.Run("door=graphite/series=100k/samples=2000", func(b *testing.B) {
		doortest.BenchmarkDecode(b, doortest.FleetGraphite(100_000), step(b))
	})
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	doortest.KnownSeriesAllocateNothing(t, doortest.FleetGraphite(doortest.FleetSamples)[0], step(t))
}

func TestLines(t *testing.T) {
	const now = 1_700_000_000_123
	for line, want := range map[string]doortest.Sample{
		"servers.db1.cpu 98.5 1600000000": {Series: `{__name__="servers.db1.cpu"}`, T: 1_600_000_000_000, V: 98.5},
		"  a.b\t-1e3\t1600000000.25\r":    {Series: `{__name__="a.b"}`, T: 1_600_000_000_250, V: -1000},
		"a 1 -1":                          {Series: `{__name__="a"}`, T: now, V: 1},
		"a 1":                             {Series: `{__name__="a"}`, T: now, V: 1},
		"disk.used;dc=eu;rack=a1=b;empty= 7 1600000": {Series: `{__name__="disk.used", dc="eu", rack="a1=b"}`, T: 1_600_000_000, V: 7},
		"a nan 5":   {Series: `{__name__="a"}`, T: 5000, V: math.Float64frombits(0x7ff8000000000001)},
		"a +Inf 5":  {Series: `{__name__="a"}`, T: 5000, V: math.Inf(1)},
		"a;b=é 1 5": {Series: `{__name__="a", b="é"}`, T: 5000, V: 1},
	} {
		m := doortest.NewMemory()
		q := acquire(t, m, door.NamesUTF8)
		q.Decoder.src, q.Decoder.now = []byte(line+"\n\n"), now
		if _, err := q.Store(t.Context()); err != nil || !doortest.EqualSamples(m.Samples, []doortest.Sample{want}) {
			t.Errorf("%q: %v, want %v, %v %v", line, m.Samples, want, m.Rejects.List(), err)
		}
	}
	for line, want := range map[string]storage.Reason{
		"a":                            storage.ReasonBadValue,
		"a x 1":                        storage.ReasonBadValue,
		"a 1 now":                      storage.ReasonBadTime,
		"a 1 9223372036854775807":      storage.ReasonBadTime,
		"a 1 1 1":                      storage.ReasonBadValue,
		"a;b 1 1":                      storage.ReasonBadLabel,
		"a;=b 1 1":                     storage.ReasonBadLabel,
		";b=c 1 1":                     storage.ReasonNoName,
		"a;b=c;b=d 1 1":                storage.ReasonDuplicateLabel,
		"a\xff 1 1":                    storage.ReasonInvalidUTF8,
		"a;__name__=b 1 1":             storage.ReasonDuplicateLabel,
		"GET /metrics HTTP/1.1":        storage.ReasonBadValue,
		"a;b=c;" + string(long) + " 1": storage.ReasonBadLabel,
	} {
		m := doortest.NewMemory()
		q := acquire(t, m, door.NamesUTF8)
		q.Decoder.src = []byte(line)
		_, err := q.Store(t.Context())
		if rejects := m.Rejects.List(); err != nil || len(rejects) != 1 || rejects[0].Reason != want || rejects[0].Count != 1 || len(m.Samples) > 0 {
			t.Errorf("%q: %v %v, want %s", line, rejects, err, want)
		}
	}
}

var long = bytes.Repeat([]byte("x"), 1000)

// FuzzLines: any lines decode alike with known and new series; each line that is not blank
// is a sample or refused.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"servers.db1.cpu 98.5 1600000000\n", "a;b=c;d=e 1", "a nan -1\r\n\nb 1 1.5\n", "a 1 1 1", ";= 1", "\t a  1e400  -0\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m := doortest.NewMemory()
		q := acquire(t, m, door.Names(len(src)%2))
		q.Decoder.src, q.Decoder.now = src, doortest.Base
		if err := doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) }); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range bytes.Lines(src) {
			if len(bytes.Trim(line, " \t\r\n")) > 0 {
				lines++
			}
		}
		if n := len(m.Samples) + m.Rejected(); n != lines {
			t.Fatalf("%q: %d samples and refusals of %d lines", src, n, lines)
		}
	})
}
