package storage

import (
	"context"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// rawDay is the selection of the samples of a covered day.
type rawDay struct {
	set   *SeriesSet
	known identities // complete
}

// find returns a series of the day, nil if it has no samples there.
func (d *rawDay) find(id model.Identity) *Series {
	if n, ok := d.known.find(d.set.series, id); ok {
		return d.set.series[n]
	}
	return nil
}

// rawIn returns where the samples at the start of tr are, which must have some: up to
// the end of part, in series, or nowhere if that is nil.
func (s *TieredSeries) rawIn(ctx context.Context, tr model.TimeRange) (part model.TimeRange, series *Series, err error) {
	set := s.set
	i, _ := slices.BinarySearchFunc(set.runs, tr.Min, func(r rawRun, t int64) int {
		if r.times.Max <= t {
			return -1
		}
		return 1
	})
	if i < len(set.runs) {
		if run := set.runs[i].times; run.Min <= tr.Min {
			for _, raw := range s.raw {
				if raw.run == i {
					series = raw.series
				}
			}
			return run.Intersect(tr), series, nil
		}
		tr.Max = min(tr.Max, set.runs[i].times.Min)
	}
	day := block.Raw.PartitionRange(tr.Min)
	d, err := set.rawDay(ctx, day)
	if err != nil {
		return tr, nil, err
	}
	return day.Intersect(tr), d.find(s.ID), nil
}

// rawDay selects the samples of a day, once for all series. Callers do not wait for
// one another: the one that selects may be waiting for a CPU slot that a waiting
// caller holds.
func (s *TieredSet) rawDay(ctx context.Context, day model.TimeRange) (*rawDay, error) {
	s.mu.Lock()
	d := s.rawDays[day.Min]
	s.mu.Unlock()
	if d != nil {
		return d, nil
	}
	found, err := s.view.selectSharing(ctx, s.tenant, day, s.matchers, s.known)
	if err != nil {
		return nil, err
	}
	d = &rawDay{set: found}
	d.known.insert(found.series)
	s.mu.Lock()
	defer s.mu.Unlock()
	if made := s.rawDays[day.Min]; made != nil {
		return made, nil
	}
	if s.rawDays == nil {
		s.rawDays = make(map[int64]*rawDay)
	}
	s.rawDays[day.Min] = d
	return d, nil
}
