package tiers

import (
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/rollup/bucket"
)

// The measures of an estimate, all in samples: how many are decoded.
const (
	// sampleMs is the assumed interval of samples. That of the data is not known
	// before the series are selected; a wrong guess costs time, not correctness.
	sampleMs = 15 * model.SecondMs
	// chunkMs is the range of samples that one border costs which cuts a bucket: the
	// window of a chunk of 1,440 samples of 15 s.
	chunkMs = 6 * model.HourMs
	// rowSamples is the number of samples that cost as much as a row of buckets.
	rowSamples = 8
	// hopeMs is how long before the end of a bucket a window may begin so that the
	// last two samples of the bucket are probably all that is inside: Grafana's
	// $__rate_interval is the step and one scrape interval.
	hopeMs = 2 * model.MinuteMs
	// hopeMaxMs bounds the scrape interval that is derived from a window longer than the
	// step: [1h5m] at a step of an hour is asked of series that are scraped every 5 minutes.
	hopeMaxMs = 15 * model.MinuteMs
)

// costs is an estimate of a read's cost.
type costs struct {
	raw, tier    int64 // decoded samples, or as much
	cut, borders int   // borders of windows that cut a bucket, of all
	mayFail      int   // further borders that cut a bucket, probably where it has what is needed
}

// estimate estimates the cost of a part of a read, of samples and of buckets.
func estimate(r *Read, fn bucket.Function, a *Available, part model.TimeRange) costs {
	first, step := r.Moment.Ends(r.Grid)
	n := r.Grid.N
	if step == 0 {
		n = min(n, 1)
	}
	resolution := a.Tier.Ms()
	hope := hopeMs
	if more := r.Width - step; step > 0 && more > hope && more <= hopeMaxMs {
		hope = more
	}
	hope = min(hope, resolution/2)
	span := part.Max - part.Min

	firstEnd, ends := within(first, step, n, part)
	right, _ := cuts(firstEnd, step, ends, resolution, 0)
	begins, left, hoped := ends, 0, 0
	if fn.LeftEdge() {
		var firstBegin int64
		firstBegin, begins = within(first-r.Width, step, n, model.TimeRange{Min: part.Min - 1, Max: part.Max - 1}) // a window begins after its border
		left, hoped = cuts(firstBegin, step, begins, resolution, hope)
	}
	c := costs{cut: left + right, borders: begins + ends, mayFail: hoped}
	const perChunk = chunkMs / sampleMs
	_, windows := within(first, step, n, model.TimeRange{Min: part.Min, Max: model.AddTime(part.Max-1, r.Width)})
	all := touched(windows, min(r.Width, span), span)
	c.raw = perChunk * all
	rows := rowSamples * (span/resolution + 1)
	if a.Tier < block.Hour {
		// Where buckets would take more bytes than samples, these stand in, and the
		// tier does not count as covering: see rollup/bucket.
		rows = min(rows, c.raw/2)
	}
	read := touched(left, 0, span) + touched(right, 0, span)
	c.tier = rows + perChunk*min(read, all)
	return c
}

// within returns the first of n times that are step apart which are in a range, and how
// many there are.
func within(first, step int64, n int, tr model.TimeRange) (int64, int) {
	if step == 0 {
		if n > 0 && tr.Contains(first) {
			return first, n
		}
		return first, 0
	}
	before := func(t int64) int64 { // number of times before t
		d := model.SubTime(t, first)
		if d <= 0 {
			return 0
		}
		return min((d-1)/step+1, int64(n))
	}
	from := before(tr.Min)
	return first + from*step, int(before(tr.Max) - from)
}

// touched returns how many chunks n windows touch that are width wide and spread over
// span.
func touched(n int, width, span int64) int64 {
	if n == 0 {
		return 0
	}
	each := width/chunkMs + 1
	return min(int64(n)*each, span/chunkMs+1)
}

// maxCounted is the number of borders that cuts examines; it takes them to be
// representative of more.
const maxCounted = 4096

// cuts returns how many of n borders, the first at first and step apart, cut a bucket,
// and how many of them do so in the last hope milliseconds of it. The latter are not
// among the former.
func cuts(first, step int64, n int, resolution, hope int64) (cut, hoped int) {
	counted := min(n, maxCounted)
	for i := range counted {
		inside := (first + int64(i)*step) % resolution
		if inside < 0 {
			inside += resolution
		}
		switch {
		case inside == 0:
		case resolution-inside <= hope:
			hoped++
		default:
			cut++
		}
		if step%resolution == 0 {
			return cut * n, hoped * n
		}
	}
	if counted < n {
		return int(int64(cut) * int64(n) / int64(counted)), int(int64(hoped) * int64(n) / int64(counted))
	}
	return cut, hoped
}
