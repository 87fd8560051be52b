package bucket

import (
	"testing"

	"tsdb/internal/model"
)

// The rule: at least 64 pairs of neighbors in buckets, of which an eighth fall, and
// buckets of less than an hour.
func TestResetsAreLeftOutOfSeriesThatFallOften(t *testing.T) {
	// fill makes samples of one second that fall at each multiple of every.
	fill := func(n, every int) *model.ColumnSet {
		var s model.ColumnSet
		v := 0.0
		for i := range n {
			if v++; i%every == 0 && i > 0 {
				v = 0
			}
			s.Append(int64(i+1)*1000, 0, v, model.Histogram{})
		}
		return &s
	}
	for _, c := range []struct {
		name       string
		resolution int64
		n, every   int
		want       bool
	}{
		{"a gauge", model.MinuteMs, 300, 3, true},
		{"a gauge, a tier of half an hour", model.MinuteMs * 30, 3600, 3, true},
		{"hours keep them", model.HourMs, 7200, 3, false},
		{"a counter", model.MinuteMs, 300, 300, false},
		{"an eighth", model.HourMs / 2, 8*20 + 1, 8, true},
		{"less than an eighth", model.HourMs / 2, 8*20 - 1, 8, false},
		{"64 pairs", model.HourMs / 2, 65, 2, true},
		{"63 pairs", model.HourMs / 2, 64, 2, false},
		{"falls between buckets do not count", model.MinuteMs, 60 * 60, 60, false},
	} {
		got, want := FromSamples(c.resolution, fill(c.n, c.every)), FromSamples(c.resolution, fill(c.n, c.every))
		if left := OmitResets(c.resolution, got); left != c.want {
			t.Errorf("%s: left out: %v", c.name, left)
		}
		for i := range got.End {
			if got.Flags[i]&model.BucketNoResets != 0 != c.want || !(got.Flags[i] &^ model.BucketNoResets).Valid() || got.Sum[i] != want.Sum[i] || got.Max[i] != want.Max[i] {
				t.Errorf("%s: row %d: flags %#x", c.name, i, got.Flags[i])
			}
			if resets := got.Resets[i] == want.Resets[i] && got.Lost[i] == want.Lost[i] && got.Changes[i] == want.Changes[i]; resets == c.want {
				t.Errorf("%s: row %d: %d resets, %v lost, %d changes", c.name, i, got.Resets[i], got.Lost[i], got.Changes[i])
			}
		}
	}
}

func TestFunctionsThatNeedResets(t *testing.T) {
	want := map[Function]bool{Rate: true, Increase: true, Resets: true, Changes: true}
	for f := range numFunctions {
		if f.NeedsResets() != want[f] || f.Answers(model.BucketNoResets) == want[f] {
			t.Errorf("%v needs resets: %v", f, f.NeedsResets())
		}
		if !f.Answers(model.BucketSample) {
			t.Errorf("%v refuses samples", f)
		}
	}
}
