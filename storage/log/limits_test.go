package log

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// Strategy: payloads whose counts and lengths lie on both sides of every limit,
// chosen at random. Invariant: a payload that an encoder accepts decodes to equal
// values; one that it refuses is refused with an error, not a panic.
func TestEncodedPayloadsDecode(t *testing.T) {
	r := rand.New(rand.NewSource(9))
	pick := func(ns ...int) int { return ns[r.Intn(len(ns))] }
	taken, refused := map[string]int{}, map[string]int{}
	count := func(what string, err error) bool {
		if err != nil {
			refused[what]++
			return false
		}
		taken[what]++
		return true
	}
	someLabels := func(n, bytes int) labels.Labels {
		var b labels.ScratchBuilder
		for i := range n {
			b.Add(fmt.Sprintf("l%07d", i), strings.Repeat("v", bytes))
		}
		return b.Labels()
	}
	for range 60 {
		ts := Tombstone{Range: model.TimeRange{Min: r.Int63() - r.Int63(), Max: r.Int63()}}
		for range pick(0, 1, 3, model.MaxMatchers, model.MaxMatchers+1) {
			ts.Matchers = append(ts.Matchers, labels.MustNewMatcher(labels.MatchType(r.Intn(4)), "n", "v"))
		}
		if len(ts.Matchers) > 0 {
			ts.Matchers[0] = labels.MustNewMatcher(labels.MatchType(r.Intn(2)), strings.Repeat("n", pick(0, 1, model.MaxMatcherBytes, model.MaxMatcherBytes+1)),
				strings.Repeat("v", pick(0, 1, model.MaxMatcherBytes, model.MaxMatcherBytes+1)))
			if r.Intn(8) == 0 {
				ts.Matchers[0].Type = 4
			}
		}
		if b, err := AppendTombstone(nil, ts); count("tombstone", err) {
			got, err := DecodeTombstone(b)
			must(t, err)
			same := slices.EqualFunc(got.Matchers, ts.Matchers, func(a, b *labels.Matcher) bool { return a.String() == b.String() })
			if got.Range != ts.Range || !same {
				t.Fatal("tombstone came back changed")
			}
		}

		e := model.Exemplar{T: r.Int63(), V: r.Float64(), Labels: someLabels(pick(0, 1, model.MaxExemplarLabels, model.MaxExemplarLabels+1), pick(0, 5))}
		if b, err := AppendExemplars(nil, []uint32{3}, []model.Exemplar{e}); count("exemplars", err) {
			var c ExemplarColumns
			must(t, DecodeExemplars(b, &c))
			if !c.E[0].Equal(e) {
				t.Fatal("exemplar came back changed")
			}
		}

		hs := slices.Clone(testHistograms())
		if r.Intn(3) == 0 {
			hs[r.Intn(len(hs))] = model.Histogram{}
		}
		if b, err := AppendHistograms(nil, make([]uint32, len(hs)), make([]int64, len(hs)), nil, hs); count("histograms", err) {
			var c HistogramColumns
			must(t, DecodeHistograms(b, &c))
			if !slices.EqualFunc(c.H, hs, model.Histogram.Equal) {
				t.Fatal("histograms came back changed")
			}
		}

		m := map[string]model.Metadata{strings.Repeat("m", pick(0, 1, 1<<20)): {Help: strings.Repeat("h", pick(0, 9, 1<<20))}}
		must(t, DecodeMetadata(AppendMetadata(nil, m), func(name string, got model.Metadata) error {
			if got != m[name] {
				t.Fatal("metadata came back changed")
			}
			return nil
		}))
	}
	// Each of the following takes a while.
	for _, c := range []struct{ n, bytes int }{{1, 1}, {maxLabels, 1}, {maxLabels + 1, 1}, {8, maxLabelsBytes/8 - 8}, {8, maxLabelsBytes / 8}} {
		def := SeriesDef{Slot: 7, ID: model.Identity{Hi: 1, Lo: 2}, Labels: someLabels(c.n, c.bytes)}
		if b, err := AppendSeries(nil, []SeriesDef{def}); count("series", err) {
			must(t, DecodeSeries(b, func(got SeriesDef) error {
				if got.Slot != def.Slot || got.ID != def.ID || !labels.Equal(got.Labels, def.Labels) {
					t.Fatal("series came back changed")
				}
				return nil
			}))
		} else if !errors.Is(err, ErrTooLarge) {
			t.Errorf("series: %v", err)
		}
	}
	for _, what := range []string{"tombstone", "exemplars", "histograms", "series"} {
		if taken[what] == 0 || refused[what] == 0 {
			t.Errorf("%s: %d taken, %d refused: one side of the limits was not tried", what, taken[what], refused[what])
		}
	}
}
