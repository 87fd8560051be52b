package influx

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
	"tsdb/storage"
)

// acquire returns a request that decodes into s.
func acquire(t testing.TB, s door.Store) *door.Request[*decoder] {
	t.Helper()
	q := doortest.Acquire(t, New(doortest.NewShared(s), Options{}).door)
	q.Decoder.precision = precisions1[""]
	return q
}

// FuzzLines feeds bodies to the line-protocol decoder. It never panics, reads every
// byte, decodes known and new series alike, and decodes a body to the same samples
// if another line precedes it.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"m v=1 1", "m,t=a v=1,w=2i,x=\"s\",y=t 5\n", "# c\n\nm v=1\r\n", `m\ x,t\,=\= v\ =1`, "m s=\"a\nb\",v=1 1\nbad\n", "m v=\"", "m,t=a=b v=1 -1", "m,t=a\\\nb v=1", "\" v=\"\n\" v=\"\n", "m \tv=1 \t1", `m\=\" v\"=1`, "m v=1 9223372036854775807"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		src = bytes.TrimPrefix(src, byteOrderMark) // special only at the start of a body
		lines := newLineReader(src)
		for rest := lines.src; ; rest = lines.src {
			line, ok := lines.next()
			if !ok {
				if len(rest) > 0 {
					t.Fatalf("%q is left of %q", rest, src)
				}
				break
			}
			if len(lines.src) >= len(rest) || len(line) > len(rest)-len(lines.src) || !bytes.HasPrefix(rest, line) {
				t.Fatalf("line %q of %q, then %q", line, rest, lines.src)
			}
		}
		decode := func(src []byte) *doortest.Memory {
			m := doortest.NewMemory()
			q := acquire(t, m)
			d := q.Decoder
			d.src, d.now, d.db = src, doortest.Base, dbLabel{[]byte("db"), []byte("x")}
			if err := doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) }); err != nil {
				t.Fatal(err)
			}
			if n := q.Batch.Offered.Floats; n-d.refused != len(m.Samples) {
				t.Fatalf("offered %d, refused %d, stored %d", n, d.refused, len(m.Samples))
			}
			return m
		}
		alone := decode(src)
		after := decode(append([]byte("first,a=b v=1 1\n"), src...))
		if len(after.Samples) == 0 || !doortest.EqualSamples(alone.Samples, after.Samples[1:]) {
			t.Fatalf("alone %v, after a line %v", alone.Samples, after.Samples)
		}
		for _, s := range alone.Samples {
			if math.IsNaN(s.V) || math.IsInf(s.V, 0) || !strings.Contains(s.Series, "__name__") {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// A predicate or WHERE clause never panics the parser, and what it takes can be turned
// into matchers with times in their bounds.
func FuzzParseCondition(f *testing.F) {
	for _, s := range []string{
		`_measurement="cpu" AND host='a'`, `(time > now() - 3h and "a b" !~ /x.*[/]/)`, `time <= 1700000000000000000`, `time = '2026-01-02 03:04:05'`, `a <> ''`, "_measurement=\x80",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCondition(text, time.Unix(1_700_000_000, 0))
		if err != nil {
			return
		}
		if c.times.Min < model.AllTime.Min || c.times.Max > model.AllTime.Max {
			t.Fatalf("times %v", c.times)
		}
		if ms, err := c.matchers(&DefaultNaming, "db", "x"); err == nil && len(ms) == 0 {
			t.Fatal("no matchers")
		}
	})
}

// A SHOW statement never panics the parser, nor do the functions that it makes.
func FuzzParseShow(f *testing.F) {
	for _, s := range []string{
		`MEASUREMENTS WITH MEASUREMENT =~ /a/ LIMIT 1 OFFSET 2`, `TAG VALUES ON "x" FROM "p"."m", /r/ WITH KEY IN ("a", b) WHERE c = 'd'`, `series from a.b where time > now() - 1h order by time limit 5`,
	} {
		f.Add(s)
	}
	h := New(door.NewShared(door.Options{}), Options{})
	f.Fuzz(func(t *testing.T, text string) {
		for _, words := range splitStatements(text) {
			s, known, err := h.parseShow(words, "db")
			if !known || err != nil {
				continue
			}
			for _, from := range s.from {
				from("m")
			}
			if s.keys != nil {
				s.keys("k")
			}
			s.page(nil, table{Values: make([][]any, 3)})
		}
	})
}
