package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
)

// SelectTiered is Select for reading buckets of rollups, of one in each slice, and
// samples wherever that does not answer: on days that are not rolled up, and where
// something newer than the rollup was written or deleted. The range is extended to
// whole buckets. A TieredReader reads the series.
func (v *View) SelectTiered(ctx context.Context, tenant uint32, tr model.TimeRange, tiers TierSlices, matchers ...*labels.Matcher) (*TieredSet, error) {
	tiers.check()
	tr = tiers.whole(tr)
	set := &TieredSet{
		view: v, tenant: tenant, matchers: match.New(matchers), tiers: tiers, base: &SeriesSet{view: v},
		times: tr, rawTimes: v.st.visible(tr),
	}
	if tr.Empty() {
		return set, nil
	}
	var err error
	if set.base.deleted, err = v.views.frozenDeletions(v.st, tenant); err != nil {
		return nil, err
	}
	set.base.rules = v.st.rulesInHead()
	set.setFloors()
	s := tieredSelection{TieredSet: set, join: joiner{set: set.base, tenant: tenant}}
	for _, step := range []func(context.Context) error{s.addRollups, s.addNewer, s.addRuns} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// tieredSelection is a TieredSet under construction.
type tieredSelection struct {
	*TieredSet
	join joiner // of base
}

// rollupPart is what a selection takes from one rollup block.
type rollupPart struct {
	times  []model.TimeRange // of the days whose entries name it
	number int               // in base; -1 = it cannot be read
	lost   error             // damage, because of which series may be missing
}

// addRollups adds the series of rollup blocks and determines which days they
// answer. Samples answer instead of a block that is damaged. Of days whose samples
// have expired, but for those that stand in for buckets, the undamaged part of the
// block answers, or what samples are left if it cannot be read at all.
func (s *tieredSelection) addRollups(ctx context.Context) error {
	st := s.view.st
	days := coveredDays(st.blocks.State(), s.tiers, s.times)
	parts, err := s.addParts(ctx, days)
	if err != nil {
		return err
	}
	for _, d := range days {
		p := parts[d.Block]
		if p != nil && p.lost != nil {
			if !s.isRaw(d.Day) {
				s.base.warn(p.lost)
			}
			if s.isRaw(d.Day) || p.number < 0 {
				continue
			}
		}
		s.covered = append(s.covered, d)
		if p != nil && p.number >= 0 {
			s.addSegment(d.times, p.number)
		}
	}
	s.coveredTimes = timesOf(s.covered)
	for _, err := range lostIn(s.covered, s.times) {
		s.base.warn(err)
	}
	s.deletions, err = newerDeletions(s.covered, st.tombstones, s.tenant)
	return err
}

// addParts adds the series of the rollup blocks of days.
func (s *tieredSelection) addParts(ctx context.Context, days []coveredDay) (map[string]*rollupPart, error) {
	parts := make(map[string]*rollupPart)
	var names []string // by their first day
	for _, d := range days {
		if d.Block == "" {
			continue
		}
		p := parts[d.Block]
		if p == nil {
			p = &rollupPart{number: -1}
			parts[d.Block], names = p, append(names, d.Block)
		}
		p.times = appendRange(p.times, d.times)
	}
	entries := make(map[string]*blockset.Entry)
	for _, e := range s.view.st.blocks.Rollups() {
		entries[e.Name] = e
	}
	s.join.numSources = min(len(names)+1, maxSources)
	for _, name := range names {
		p, e := parts[name], entries[name]
		switch {
		case e == nil:
			p.lost = fmt.Errorf("rollup block %s is covered but not listed", name)
			continue
		case e.Block() == nil:
			p.lost = e.Err()
			continue
		}
		lost := func(err error) {
			if p.lost == nil {
				p.lost = err
			}
		}
		b, err := s.join.addBlock(ctx, blockPart{Entry: e, ranges: p.times, lost: lost}, s.matchers)
		switch {
		case errors.Is(err, format.ErrCorrupt):
			lost(err)
		case err != nil:
			return nil, err
		default:
			p.number = b.number
			s.blocks = append(s.blocks, tieredBlock{rollup: true})
		}
	}
	return parts, nil
}

// addSegment adds a range, after all others, to be read from a block.
func (s *tieredSelection) addSegment(tr model.TimeRange, block int) {
	s.blocks[block].times = appendRange(s.blocks[block].times, tr)
	if n := len(s.segments); n > 0 && s.segments[n-1].block == block && s.segments[n-1].times.Max == tr.Min {
		s.segments[n-1].times.Max = tr.Max
		return
	}
	s.segments = append(s.segments, segment{tr, block})
}

// addNewer adds the series of raw blocks and the head that may have samples on
// covered days which the rollup does not have.
func (s *tieredSelection) addNewer(ctx context.Context) error {
	defer s.finishBase()
	if len(s.covered) == 0 {
		return nil
	}
	whole := hull(s.coveredTimes).Intersect(s.rawTimes)
	if whole.Empty() {
		return nil
	}
	for _, e := range s.view.st.overlapping(whole) {
		newer := newerDays(daysIn(s.covered, whole), e.Info)
		hidden, day, err := s.hiddenIn(ctx, e)
		if err = s.base.warnOf(err); err != nil {
			return err
		}
		if hidden != nil && len(newer) == 0 {
			newer = []model.TimeRange{day}
		} else if len(newer) == 0 {
			continue
		}
		if err := e.Err(); err != nil {
			s.base.warn(err)
		}
		if e.Block() == nil {
			continue
		}
		p := blockPart{Entry: e, ranges: []model.TimeRange{hull(newer)}, lost: s.base.warn}
		if e.Level == block.L2 {
			day := daysIn(s.covered, newer[0])[0]
			p.keep = func(ord uint32) bool {
				gen, err := e.Block().Generation(ord)
				return err != nil || gen > day.Gen || hidden != nil && hidden.Contains(ord)
			}
		}
		_, err = s.join.addBlock(ctx, p, s.matchers)
		switch {
		case errors.Is(err, format.ErrCorrupt):
			s.base.warn(err)
		case err != nil:
			return err
		default:
			s.blocks = append(s.blocks, tieredBlock{times: newer})
		}
	}
	return s.join.addHead(ctx, whole, s.matchers)
}

// hull returns the range from the first to the last of sorted ranges, which must
// not be empty.
func hull(rs []model.TimeRange) model.TimeRange {
	return model.TimeRange{Min: rs[0].Min, Max: rs[len(rs)-1].Max}
}

// finishBase lists the series of base.
func (s *tieredSelection) finishBase() {
	s.join.sort()
	s.known = &knownLabels{series: s.base.series}
	s.known.ids.insert(s.base.series)
	slab := make([]TieredSeries, len(s.base.series))
	s.series = make([]*TieredSeries, len(slab))
	for i, b := range s.base.series {
		slab[i] = TieredSeries{ID: b.ID, Labels: b.Labels, set: s.TieredSet, sources: b.sources}
		s.series[i] = &slab[i]
	}
}

// addRuns selects the samples of the days that are not rolled up.
func (s *tieredSelection) addRuns(ctx context.Context) error {
	for _, tr := range appendRest(nil, s.coveredTimes, s.rawTimes) {
		found, err := s.view.selectSharing(ctx, s.tenant, tr, s.matchers, s.known)
		if err != nil {
			return err
		}
		s.runs = append(s.runs, rawRun{tr, found})
		s.addRun(len(s.runs)-1, found)
	}
	return nil
}

// addRun adds the series of a run. They are in the order of those added before.
func (s *tieredSelection) addRun(run int, found *SeriesSet) {
	if found.Len() == 0 {
		return
	}
	all := make([]*TieredSeries, 0, max(len(s.series), found.Len()))
	before := s.series
	slab := make([]rawSource, found.Len())
	for i, f := range found.series {
		for len(before) > 0 && before[0].ID != f.ID && labels.Compare(before[0].Labels, f.Labels) < 0 {
			all, before = append(all, before[0]), before[1:]
		}
		var series *TieredSeries
		if len(before) > 0 && before[0].ID == f.ID {
			series, before = before[0], before[1:]
		} else {
			series = &TieredSeries{ID: f.ID, Labels: f.Labels, set: s.TieredSet}
		}
		if series.raw == nil {
			series.raw = slab[i : i : i+1]
		}
		series.raw = append(series.raw, rawSource{run, f})
		all = append(all, series)
	}
	s.series = append(all, before...)
}
