package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
	"tsdb/rollup/bucket"
	"tsdb/storage"
)

// history is a database that grows old: its samples expire, and then the buckets of
// one tier. samples are all that were ever written, by series.
type history struct {
	*world
	samples map[string]map[int64]float64
	more    []block.Tier // that have been made beside those of options
}

// write writes samples of counters on a day after begin's, from an hour on. Those of
// even series are dense, so that they become buckets of a minute; those of odd ones
// stand in.
func (h *history) write(day int, hour int64, numbers ...int) error {
	start := begin.Add(time.Duration(day)*24*time.Hour).Truncate(24*time.Hour).UnixMilli() + hour*model.HourMs
	req := prompb.WriteRequest{}
	var ws []write
	for _, k := range numbers {
		name := fmt.Sprintf(`{__name__="old", i="%d"}`, k)
		if h.samples[name] == nil {
			h.samples[name] = map[int64]float64{}
		}
		ts := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "old"}, {Name: "i", Value: fmt.Sprint(k)}}}
		step, n := int64(2000), 200
		if k%2 == 1 {
			step, n = 50_000, 90
		}
		for i := range n {
			t, v := start+int64(i)*step+int64(k), float64((i*3+k)%150+1)
			ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: t, Value: v})
			ws = append(ws, write{key{name, t}, renderFloat(v), false})
			h.samples[name][t] = v
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	raw, err := req.Marshal()
	if err != nil {
		return err
	}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(snappy.Encode(nil, raw)))
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "snappy")
	return h.send(r, ws)
}

// on returns the same history on a file system that a crash has left.
func (h *history) on(fs vfs.FS) *history {
	w := newWorld(fs, 0)
	w.clock, w.tiers = vfs.NewManualClock(h.clock.Now()), h.tiers
	return &history{world: w, samples: h.samples, more: h.more}
}

// floor returns the start of the oldest day that a retention keeps; 0 is for ever.
func (h *history) floor(retentionMs int64) int64 {
	if retentionMs == 0 {
		return 0
	}
	return block.Raw.PartitionStart(h.now() - retentionMs)
}

// expired reports whether the answers of a tier, or samples, may have left.
func (h *history) expired(tier block.Tier, day int64) bool {
	tiers := h.tiers
	if tiers == nil {
		tiers = options(nil).TierRetentionMs
	}
	if retention, on := tiers[tier]; on {
		return day < h.floor(retention)
	}
	return day < h.floor(retention)
}

// answers returns an error unless a tier, or Raw, has on each day either all that the
// samples give or, if its retention is over, none or only whole series. It returns the
// number of days and series with answers.
func (h *history) answers(tier block.Tier) (found int, err error) {
	v, err := h.db.View()
	if err != nil {
		return 0, err
	}
	defer v.Release()
	got, err := readHistory(v, tier)
	if err != nil {
		return 0, err
	}
	for name, samples := range h.samples {
		want := map[int64][]string{}
		for _, part := range byDay(samples) {
			want[block.Raw.PartitionStart(part.T[0])] = rowsOf(tier, part)
		}
		for day, rows := range got[name] {
			if want[day] == nil {
				return 0, fmt.Errorf("%v of %s has %d rows on a day without samples", tier, name, len(rows))
			}
		}
		for day, rows := range want {
			switch g := got[name][day]; {
			case slices.Equal(g, rows):
				found++
			case len(g) > 0 || !h.expired(tier, day):
				return 0, fmt.Errorf("%v of %s on %s: %d rows differ from %d of the samples", tier, name, model.FormatTime(day), len(g), len(rows))
			}
		}
		delete(got, name)
	}
	for name := range got {
		return 0, fmt.Errorf("%v has %s", tier, name)
	}
	return found, nil
}

// byDay splits samples by days.
func byDay(samples map[int64]float64) (parts []*model.Samples) {
	day := int64(-1)
	for _, t := range slices.Sorted(maps.Keys(samples)) {
		if d := block.Raw.PartitionStart(t); d != day {
			day = d
			parts = append(parts, &model.Samples{})
		}
		parts[len(parts)-1].Append(t, 0, samples[t], model.Histogram{})
	}
	return parts
}

// rowsOf returns the rows of samples in a tier, or the samples.
func rowsOf(tier block.Tier, s *model.Samples) []string {
	if tier != block.Raw {
		return bits(bucket.FromSamples(tier.Ms(), s))
	}
	var all []string
	for i := range s.T {
		all = append(all, fmt.Sprint(s.T[i], renderAt(s, i)))
	}
	return all
}

// readHistory returns what a tier, or Raw, answers, by series and day.
func readHistory(v *storage.View, tier block.Tier) (map[string]map[int64][]string, error) {
	ctx := context.Background()
	day := block.Raw.PartitionStart(begin.UnixMilli())
	tr := model.TimeRange{Min: day - 4*model.DayMs, Max: day + 20*model.DayMs}
	everything := labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")
	got := map[string]map[int64][]string{}
	add := func(ls labels.Labels, day int64, rows []string) {
		if got[ls.String()] == nil {
			got[ls.String()] = map[int64][]string{}
		}
		got[ls.String()][day] = append(got[ls.String()][day], rows...)
	}
	addSamples := func(ls labels.Labels, s *model.Samples) {
		for i := 0; i < s.Len(); {
			day := block.Raw.PartitionRange(s.T[i])
			j := s.Search(day.Max)
			part := s.Slice(i, j)
			add(ls, day.Min, rowsOf(tier, &part))
			i = j
		}
	}
	if tier == block.Raw {
		set, err := v.Select(ctx, model.DefaultTenant, tr, everything)
		if err != nil {
			return nil, err
		}
		for i := range set.Len() {
			var s model.Samples
			if err := set.At(i).Samples(ctx, tr, &s); err != nil {
				return nil, err
			}
			addSamples(set.At(i).Labels, &s)
		}
		return got, errors.Join(set.Warnings()...)
	}
	set, err := v.SelectTiered(ctx, model.DefaultTenant, tr, storage.OneTier(tier), everything)
	if err != nil {
		return nil, err
	}
	var r storage.TieredReader
	defer r.Release()
	for i := range set.Len() {
		s := set.At(i)
		var rows model.Buckets
		gaps, err := r.Buckets(ctx, s, tr, model.AllBucketColumns, &rows, nil)
		if err != nil {
			return nil, err
		}
		rowsOfTiers.Add(int64(rows.Len()))
		for i, text := range bits(&rows) {
			add(s.Labels, block.Raw.PartitionStart(rows.End[i]), []string{text})
		}
		for _, gap := range gaps {
			var samples model.Samples
			if err := r.Samples(ctx, s, gap, &samples); err != nil {
				return nil, err
			}
			addSamples(s.Labels, &samples)
		}
	}
	for _, days := range got {
		for _, rows := range days {
			slices.Sort(rows) // rows and gaps may alternate; their ends have as many digits
		}
	}
	return got, errors.Join(set.Warnings()...)
}

// allAnswers checks samples and all tiers and returns what is there.
func (h *history) allAnswers() (found map[block.Tier]int, err error) {
	found = map[block.Tier]int{}
	for _, tier := range append([]block.Tier{block.Raw, block.Minute, block.Hour}, h.more...) {
		if found[tier], err = h.answers(tier); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// settles opens the database after a crash, compares its answers, does the work that is
// left, and compares again: in the end there is what there would be without the
// crash.
func (h *history) settles(want map[block.Tier]int) error {
	if err := h.open(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { h.abandon() }()
	if _, err := h.allAnswers(); err != nil {
		return fmt.Errorf("after the start: %w", err)
	}
	if _, err := h.db.Compact(context.Background()); err != nil {
		return fmt.Errorf("continue: %w", err)
	}
	found, err := h.allAnswers()
	if err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	if want != nil && !maps.Equal(found, want) {
		return fmt.Errorf("in the end there are %v days of series, want %v", found, want)
	}
	if err := h.rewritten(); err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	h.abandon()
	return errors.Join(checked(h.fs), h.open())
}

// rewritten returns an error unless raw blocks have only the series whose samples are
// kept: a tenth of those of a block is enough for it to be written again.
func (h *history) rewritten() error {
	st, _, err := manifest.Read(h.fs, dataDir)
	if err != nil {
		return err
	}
	v, err := h.db.View()
	if err != nil {
		return err
	}
	defer v.Release()
	kept, err := readHistory(v, block.Raw)
	if err != nil {
		return err
	}
	want, got := map[int64]uint64{}, map[int64]uint64{}
	for _, days := range kept {
		for day := range days {
			want[day]++
		}
	}
	for _, b := range st.RawBlocks() {
		got[b.Partition] += b.Series
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("raw blocks have by day %v series, want %v", got, want)
	}
	return nil
}
