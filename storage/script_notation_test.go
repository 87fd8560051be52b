package storage

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
)

// The notation of scripts.
//
//	time      10T12:00, 10T12:00:05.001, 2026-04-02T12:00; 12:00 is of the first day
//	range     10T12:00..10T13:00, without the end; either side may be missing
//	series    cpu{host="a"}, as in PromQL; selectors too
//	sample    12:00=1, 12:00=stale, 12:00=NaN, 12:00=h5 (a histogram of 5 observations)
//	samples   12:00@1m=1+2x9: ten samples, a minute apart, from 1 in steps of 2
//	          12:00@1m=noise7x9: ten values that follow from a seed, here 7
//	block     L1/10/3-5: level, day, generations; /1 behind them is the ordinal

// scriptTime writes a time.
func scriptTime(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	layout := "2006-01-02T15:04"
	if t.Year() == scriptEpoch.Year() && t.Month() == scriptEpoch.Month() {
		layout = "02T15:04"
	}
	switch {
	case t.Nanosecond() > 0:
		layout += ":05.000"
	case t.Second() > 0:
		layout += ":05"
	}
	return t.Format(layout)
}

var scriptTimeLayouts = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05.000"}

func parseScriptTime(s string) (int64, error) {
	full := s
	if !strings.Contains(full, "T") {
		full = scriptEpoch.Format("02T") + full
	}
	if strings.IndexByte(full, 'T') == 2 {
		full = scriptEpoch.Format("2006-01-") + full
	}
	for _, layout := range scriptTimeLayouts {
		if t, err := time.Parse(layout, full); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("%q is not a time", s)
}

func parseScriptRange(s string) (model.TimeRange, error) {
	tr := model.AllTime
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		return tr, fmt.Errorf("%q is not a range", s)
	}
	var err error
	if from != "" {
		if tr.Min, err = parseScriptTime(from); err != nil {
			return tr, err
		}
	}
	if to != "" {
		tr.Max, err = parseScriptTime(to)
	}
	return tr, err
}

func scriptRange(tr model.TimeRange) string {
	from, to := "", ""
	if tr.Min > model.AllTime.Min {
		from = scriptTime(tr.Min)
	}
	if tr.Max < model.AllTime.Max {
		to = scriptTime(tr.Max)
	}
	return from + ".." + to
}

var (
	selectorRE = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)?(?:\{(.*)\})?$`)
	matcherRE  = regexp.MustCompile(`^\s*([a-zA-Z_]+)(=~|!~|!=|=)"([^"]*)"\s*,?`)
)

// parseSelector parses what names series.
func parseSelector(s string) ([]*labels.Matcher, error) {
	parts := selectorRE.FindStringSubmatch(s)
	if s == "" || parts == nil {
		return nil, fmt.Errorf("%q is not a selector", s)
	}
	var ms []*labels.Matcher
	if parts[1] != "" {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, commonmodel.MetricNameLabel, parts[1]))
	}
	types := map[string]labels.MatchType{"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}
	for rest := parts[2]; rest != ""; {
		m := matcherRE.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q is not a matcher", rest)
		}
		matcher, err := labels.NewMatcher(types[m[2]], m[1], m[3])
		if err != nil {
			return nil, err
		}
		ms, rest = append(ms, matcher), rest[len(m[0]):]
	}
	return ms, nil
}

// writeSelector writes matchers as parseSelector takes them.
func writeSelector(ms []*labels.Matcher) string {
	name, rest := "", []string{}
	for _, m := range ms {
		if m.Name == commonmodel.MetricNameLabel && m.Type == labels.MatchEqual {
			name = m.Value
		} else {
			rest = append(rest, m.String())
		}
	}
	if len(rest) > 0 {
		name += "{" + strings.Join(rest, ",") + "}"
	}
	return name
}

// parseSelection parses a selector and a range; without one it is all times.
func parseSelection(line string) ([]*labels.Matcher, model.TimeRange, error) {
	name, rest := splitSeries(line)
	ms, err := parseSelector(name)
	if err != nil || rest == "" {
		return ms, model.AllTime, err
	}
	tr, err := parseScriptRange(rest)
	return ms, tr, err
}

// splitSeries splits a line behind the series with which it begins.
func splitSeries(line string) (name, rest string) {
	end := strings.IndexByte(line, ' ')
	if brace := strings.IndexByte(line, '}'); brace >= 0 {
		end = brace + 1
	}
	if end < 0 {
		return line, ""
	}
	return line[:end], strings.TrimSpace(line[end:])
}

// parseSeries parses a series and its samples.
func parseSeries(line string) (labels.Labels, *model.Samples, error) {
	name, rest := splitSeries(line)
	ms, err := parseSelector(name)
	if err != nil {
		return labels.EmptyLabels(), nil, err
	}
	b := labels.NewScratchBuilder(len(ms))
	for _, m := range ms {
		b.Add(m.Name, m.Value)
	}
	b.Sort()
	var samples model.Samples
	for _, f := range strings.Fields(rest) {
		if err := parseSamples(f, &samples); err != nil {
			return labels.EmptyLabels(), nil, fmt.Errorf("%s: %w", f, err)
		}
	}
	return b.Labels(), &samples, nil
}

var stepsRE = regexp.MustCompile(`^(.+?)([+-].+)x(\d+)$`)

// parseSamples appends the samples of one word, which need not rise in time.
func parseSamples(word string, dst *model.Samples) error {
	at, val, ok := strings.Cut(word, "=")
	if !ok {
		return fmt.Errorf("time=value is missing")
	}
	at, every, stepped := strings.Cut(at, "@")
	t, err := parseScriptTime(at)
	if err != nil {
		return err
	}
	if !stepped {
		v, h, err := parseScriptValue(val)
		dst.Append(t, 0, v, h)
		return err
	}
	interval, err := time.ParseDuration(every)
	if err != nil {
		return err
	}
	if seed, count, ok := strings.Cut(strings.TrimPrefix(val, "noise"), "x"); ok && strings.HasPrefix(val, "noise") {
		from, err1 := strconv.ParseUint(seed, 10, 64)
		n, err2 := strconv.Atoi(count)
		rnd := rand.New(rand.NewPCG(from, 0))
		for i := range n + 1 {
			dst.Append(t+int64(i)*interval.Milliseconds(), 0, rnd.Float64(), model.Histogram{})
		}
		return errors.Join(err1, err2)
	}
	m := stepsRE.FindStringSubmatch(val)
	if m == nil {
		return fmt.Errorf("%q is not first+stepxcount", val)
	}
	first, err1 := strconv.ParseFloat(m[1], 64)
	step, err2 := strconv.ParseFloat(m[2], 64)
	count, err3 := strconv.Atoi(m[3])
	if err1 != nil || err2 != nil || err3 != nil {
		return fmt.Errorf("%q is not first+stepxcount", val)
	}
	for i := range count + 1 {
		dst.Append(t+int64(i)*interval.Milliseconds(), 0, first+float64(i)*step, model.Histogram{})
	}
	return nil
}

func parseScriptValue(s string) (float64, model.Histogram, error) {
	if s == "stale" {
		return math.Float64frombits(value.StaleNaN), model.Histogram{}, nil
	}
	if n, ok := strings.CutPrefix(s, "h"); ok {
		count, err := strconv.ParseUint(n, 10, 32)
		return 0, model.Histogram{Int: scriptHistogram(count)}, err
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, model.Histogram{}, err
}

// scriptHistogram returns a histogram of n observations in one bucket.
func scriptHistogram(n uint64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 0, Count: n, Sum: float64(n), ZeroThreshold: 1e-9,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []int64{int64(n)},
	}
}

func scriptValue(s *model.Samples, i int) string {
	if h := s.HistogramAt(i); h.Int != nil {
		return fmt.Sprintf("h%d", h.Int.Count)
	} else if h.Float != nil {
		return fmt.Sprintf("h%v", h.Float.Count)
	}
	if value.IsStaleNaN(s.V[i]) {
		return "stale"
	}
	return strconv.FormatFloat(s.V[i], 'g', -1, 64)
}

// writeSamples writes samples as parseSamples takes them: those with equal
// steps in time and value as one word.
func writeSamples(s *model.Samples) string {
	var words []string
	for i := 0; i < s.Len(); {
		j := i + 1
		for j+1 < s.Len() && s.T[j+1]-s.T[j] == s.T[i+1]-s.T[i] && s.V[j+1]-s.V[j] == s.V[i+1]-s.V[i] && plain(s, i) && plain(s, i+1) && plain(s, j+1) {
			j++
		}
		if j-i < 2 {
			words = append(words, scriptTime(s.T[i])+"="+scriptValue(s, i))
			i++
			continue
		}
		every := shortDuration(time.Duration(s.T[i+1]-s.T[i]) * time.Millisecond)
		words = append(words, fmt.Sprintf("%s@%s=%s%+gx%d", scriptTime(s.T[i]), every, scriptValue(s, i), s.V[i+1]-s.V[i], j-i))
		i = j + 1
	}
	return strings.Join(words, " ")
}

// plain reports whether sample i is a number.
func plain(s *model.Samples, i int) bool {
	return s.KindAt(i) == model.KindFloat && !math.IsNaN(s.V[i])
}

// shortDuration writes a duration without units that are zero.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
