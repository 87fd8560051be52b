package storetest

import (
	"maps"
	"slices"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
)

// Retention periods of a store.
const (
	rawRetentionMs    = 3 * model.DayMs
	minuteRetentionMs = 5 * model.DayMs
)

// StandsIn reports whether the samples of a series stand in for its minutes of a day
// that is rolled up: on some days those of all series do.
func StandsIn(k int, day int64) bool { return allStandIn(day) || (int64(k)+day/model.DayMs)%2 == 0 }

func allStandIn(day int64) bool { return day/model.DayMs%4 == 0 }

// RollUp rolls up all days that have L2s only and are not rolled up, or dirty. Of a
// series it writes one row, or that samples stand in.
func (s *Store) RollUp() error {
	v := s.Set.Acquire()
	defer v.Release()
	days := map[int64][]*blockset.Entry{}
	for _, e := range v.Raw() {
		if e.Level == block.L2 && e.Partition >= v.State().Floor {
			days[e.Partition] = append(days[e.Partition], e)
		}
	}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		c, covered := v.State().CoverageOf(block.Hour, day)
		dirty := slices.ContainsFunc(days[day], func(e *blockset.Entry) bool { return !c.Clean(e.Info) })
		pending := slices.ContainsFunc(v.Raw(), func(e *blockset.Entry) bool {
			return e.Level != block.L2 && e.Info.TimeRange().Overlaps(block.Raw.PartitionRange(day))
		})
		if pending || covered && !dirty {
			continue
		}
		if err := s.rollUp(day, days[day]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) rollUp(day int64, l2 []*blockset.Entry) error {
	st := s.M.State()
	cover := manifest.Coverage{Gen: st.SettledGen(day)}
	for _, t := range st.Tombstones {
		cover.Tombstone = max(cover.Tombstone, t.ID)
	}
	var series []block.SeriesEntry
	var infos []block.Info
	for _, e := range l2 {
		cover.Sources, infos = append(cover.Sources, e.Name), append(infos, e.Info)
		for ord := range uint32(e.Series) {
			se, err := e.Block().Series(ord)
			if err != nil {
				return err
			}
			series = append(series, se)
		}
	}
	slices.SortFunc(series, func(a, b block.SeriesEntry) int { return block.Compare(a.Tenant, a.Labels, b.Tenant, b.Labels) })
	var e manifest.Edit
	for _, tier := range []block.Tier{block.Minute, block.Hour} {
		if day < st.TierFloor(tier) {
			continue
		}
		c := cover
		c.CoverKey = manifest.CoverKey{Tier: tier, Day: day}
		if tier == block.Minute && allStandIn(day) {
			c.StandIn = true
		} else {
			m := block.Meta{Key: tier.KeyAt(day, block.L2), Days: 1, Sources: c.Sources, Tombstone: c.Tombstone}
			m.MinGen, m.MaxGen = manifest.Generations(infos)
			info, err := s.writeRollup(m, series)
			if err != nil {
				return err
			}
			e.Add, c.Block = append(e.Add, info), info.Name
		}
		if old, ok := st.Coverage[c.CoverKey]; ok && old.Block != "" {
			e.Drop = append(e.Drop, old.Block)
		}
		e.Cover = append(e.Cover, c)
	}
	return s.Publish(e)
}

func (s *Store) writeRollup(m block.Meta, series []block.SeriesEntry) (block.Info, error) {
	w, err := block.Create(objstore.NewDir(s.Fs, "d"), m, block.WriterOptions{Taken: s.Set.Taken})
	if err != nil {
		return block.Info{}, err
	}
	for _, se := range series {
		err := w.Series(se.Tenant, se.ID, se.Labels)
		switch {
		case err != nil:
		case m.Tier == block.Minute && StandsIn(SeriesNumbers[se.ID], m.Partition):
			err = w.StandIn(block.Raw.PartitionRange(m.Partition), 1)
		default:
			var b model.Buckets
			b.AppendSample(m.Partition-1+m.Tier.Ms(), 1)
			b.Flags[0] = 0 // a row of a bucket
			err = w.Buckets(&b)
		}
		if err != nil {
			w.Abort()
			return block.Info{}, err
		}
	}
	return w.Finish()
}

// kept returns the contents that are kept in a state.
func (s *Store) kept(st *manifest.State) Contents {
	c := s.Want.clone()
	for k, all := range c {
		kept := &model.Samples{}
		for i, t := range all.T {
			day := block.Raw.PartitionStart(t)
			_, covered := st.CoverageOf(block.Minute, day)
			if t >= st.Floor || covered && StandsIn(k, day) {
				kept.AppendRange(all, i, i+1)
			}
		}
		c[k] = kept
	}
	return c
}
