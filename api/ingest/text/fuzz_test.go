package text

import (
	"bytes"
	"errors"
	"io"
	"math"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

// decode stores a text, twice, in one piece.
func decode(t testing.TB, src []byte, openMetrics bool) *doortest.Memory {
	t.Helper()
	m := doortest.NewMemory()
	q := acquire(t, m)
	d := q.Decoder
	d.src, d.openMetrics, d.now, d.families = src, openMetrics, doortest.Base, new(families)
	if err := doortest.Twice(t.(*testing.T), m, func() (storage.Receipt, error) { return q.Store(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	return m
}

func acquire(t testing.TB, s door.Store) *door.Request[*decoder] {
	t.Helper()
	return doortest.Acquire(t, New(doortest.NewShared(s)).door)
}

// reference parses a text with Prometheus' parser. ok is false if it refuses the
// text, or takes what the formats do not allow: a newline in
// quotes, and blanks before a name, which become part of it.
func reference(src []byte, openMetrics bool) (samples []doortest.Sample, ok bool) {
	var in textparse.Parser
	symbols := labels.NewSymbolTable()
	if openMetrics {
		in = textparse.NewOpenMetricsParser(bytes.Clone(src), symbols, textparse.WithOMParserSTSeriesSkipped())
	} else {
		in = textparse.NewPromParser(bytes.Clone(src), symbols, false)
	}
	for {
		entry, err := in.Next()
		if errors.Is(err, io.EOF) {
			return samples, true
		} else if err != nil {
			return samples, false
		}
		if entry != textparse.EntrySeries {
			continue
		}
		series, at, v := in.Series()
		if bytes.IndexByte(series, '\n') >= 0 || isBlank(series[0]) {
			return samples, false
		}
		var ls labels.Labels
		in.Labels(&ls)
		if !storable(ls) {
			continue
		}
		s := doortest.Sample{Series: labels.NewBuilder(ls).Labels().String(), T: doortest.Base, V: v}
		if at != nil {
			s.T = *at
			if !openMetrics && s.T < maxSeconds && s.T > -maxSeconds {
				s.T *= 1000
			}
		}
		samples = append(samples, s)
	}
}

// storable reports whether a door takes the labels.
func storable(ls labels.Labels) bool {
	ok, named := true, false
	ls.Range(func(l labels.Label) {
		ok = ok && l.Name != "" && utf8.ValidString(l.Name) && utf8.ValidString(l.Value) && len(l.Name) <= 1<<10 && len(l.Value) <= 16<<10
		named = named || l.Name == "__name__" && l.Value != ""
	})
	_, twice := ls.HasDuplicateLabelNames()
	return ok && named && !twice && ls.Len() <= 128
}

var corpus = []string{
	"a 1\n", "a{b=\"c\"} 1 1700000000000\n", "# HELP a Help \\n text\n# TYPE a counter\na_total{x=\"1\",} +Inf\n",
	"# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 6\nh_sum 3\nh_count 6\n",
	"# TYPE s summary\ns{quantile=\"0.50\"} NaN\n", "{\"a.b\",\"c d\"=\"e\"} 5\n", "a{b=\"\\\"}\\n\\\\\"} .5\r\n", "  a  {  b = \"}\" , c=\"#\" }  5  \n",
	"a{b=\"#\"} 1e400\na 5\n", "a{b=\"c\"}5\n", "a 5 }\n", "a }5\n", "# comment\n\n#\n", "a{b=\"c\"} 1 12\n",
	"# TYPE c counter\n# UNIT c seconds\nc_total{a=\"b\"} 5 1.5 # {t=\"x\"} 1 1.25\nc_created{a=\"b\"} 1.125\n# EOF\n",
	"# TYPE h histogram\nh_bucket{a=\"x\",le=\"1\"} 1\nh_bucket{a=\"x\",le=\"+Inf\"} 2 # {} 5\nh_count{a=\"x\"} 2\nh_created{a=\"x\"} 9\nh_bucket{a=\"y\",le=\"1.0\"} 1\n# EOF\n",
	"a{b=\"c\"} 1 # {d=\"}\"} 2\n# EOF\n", "a{b=\"c\",b=\"d\"} 1\n", "a{} 1\n", "{b=\"c\"} 1\n", "a{\"b\"} 1\n", "a{b=\"\xff\"} 1\n", "a 1_0\na 0x1p3\n",
	"A+0\n", "# TYPE g gauge\ng_created 5\n# EOF\n", "# TYPE c counter\nc_created 5\nc_total 1\n# EOF\n",
}

// typeWithoutBlank matches a line with a type whose name no blank follows.
var typeWithoutBlank = regexp.MustCompile(`(?m)^[ \t]*#[ \t]+TYPE[ \t]+([a-zA-Z_:][a-zA-Z0-9_:]*[^a-zA-Z0-9_: \t\n]|"(\\.|[^\\"])*"[^ \t\n])`)

// FuzzText feeds texts to the decoder. It never panics, decodes known and new series
// alike, and gives what Prometheus' parser gives for every text that this takes.
func FuzzText(f *testing.F) {
	f.Add([]byte("# TYPE h$histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 6\nh_sum 3\nh_count 6\n"), false)
	for _, s := range corpus {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, src []byte, openMetrics bool) {
		m := decode(t, src, openMetrics)
		if bytes.IndexByte(src, 0) >= 0 {
			return // Prometheus' lexer ends there
		}
		if typeWithoutBlank.Match(src) {
			return // Prometheus takes the byte after the name for a blank
		}
		want, ok := reference(src, openMetrics)
		if !ok {
			return
		}
		if len(m.Samples) != len(want) {
			t.Fatalf("%d samples, Prometheus has %d of %q:\n%v\n%v\n%v", len(m.Samples), len(want), src, m.Samples, want, m.Rejects.List())
		}
		for i, s := range m.Samples {
			w := want[i]
			if s.Series != w.Series || s.T != w.T || math.Float64bits(s.V) != math.Float64bits(w.V) {
				t.Fatalf("sample %d of %q is %+v, Prometheus has %+v", i, src, s, w)
			}
		}
	})
}
