package storage

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
)

// TieredSet is the answer of SelectTiered. It is valid until the view is released
// and safe for concurrent use.
type TieredSet struct {
	view     *View
	tenant   uint32
	matchers []*match.Matcher
	tiers    TierSlices
	times    model.TimeRange // selected, whole buckets
	rawTimes model.TimeRange // the part of times that has samples

	// rawFloor is the time before which samples of some series have expired, and
	// tierFloor that before which rows of some are hidden, Unix milliseconds.
	rawFloor, tierFloor int64

	// covered are the days that rollups answer, by time, and coveredTimes their
	// times, joined.
	covered      []coveredDay
	coveredTimes []model.TimeRange
	// base holds the series of rollup blocks, and of raw blocks and the head those
	// that may have newer samples on covered days.
	base      *SeriesSet
	known     *knownLabels  // of base, complete
	blocks    []tieredBlock // of base, by number
	segments  []segment     // of rollup blocks, by time
	deletions []newerDeletion
	runs      []rawRun // uncovered, by time

	series []*TieredSeries

	mu      sync.Mutex
	rawDays map[int64]*rawDay   // covered days that were read raw, by their start
	cut     block.DeletedRanges // buckets of which warnOfCut has warned
}

// TieredSeries is one series of a TieredSet.
type TieredSeries struct {
	ID     model.Identity
	Labels labels.Labels

	set     *TieredSet
	sources []source    // in base
	raw     []rawSource // by run
}

// tieredBlock describes a block of TieredSet.base.
type tieredBlock struct {
	rollup bool
	// times are those of the days of which rows of a rollup block are read, or on
	// which a raw block may be newer than the rollup, joined.
	times []model.TimeRange
}

// segment is a range of time whose rows are read from one rollup block.
type segment struct {
	times model.TimeRange
	block int // number in base
}

// rawRun is a range of time that no rollup answers.
type rawRun struct {
	times model.TimeRange
	set   *SeriesSet
}

// rawSource is a series in a rawRun.
type rawSource struct {
	run    int
	series *Series
}

// Len returns the number of series.
func (s *TieredSet) Len() int { return len(s.series) }

// At returns the i-th series, in the order of labels.Compare.
func (s *TieredSet) At(i int) *TieredSeries { return s.series[i] }

// Warnings returns the damage found so far, as SeriesSet.Warnings does.
func (s *TieredSet) Warnings() []error {
	all := s.base.Warnings()
	for _, r := range s.runs {
		all = append(all, r.set.Warnings()...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.rawDays {
		all = append(all, d.set.Warnings()...)
	}
	seen := make(map[string]bool, len(all))
	all = slices.DeleteFunc(all, func(err error) bool {
		text := err.Error()
		again := seen[text]
		seen[text] = true
		return again
	})
	return all[:min(len(all), maxWarnings)]
}

// isRaw reports whether all samples of a time may still be there, of every series, not
// only those that stand in for buckets.
func (s *TieredSet) isRaw(t int64) bool { return t >= s.rawFloor }
