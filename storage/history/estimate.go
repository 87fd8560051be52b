package history

import (
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Shares of the bytes of a day that an estimate takes for blocks of which none is listed.
const (
	l0Share     = 1.5 // bytes of a sample in an L0, of those in an L2
	l1Share     = 1.2
	rollupShare = 1.8 // dropped bytes of rollups, of those that stay: days are folded twice
)

// BytesPerDay estimates the bytes of blocks that edits drop in a day, which a history would
// hold, from the sizes of the listed blocks: a day's samples lie once in L0s, once in L1s
// and, where samples expire, leave as L2; rollups are folded. 0 without blocks.
func BytesPerDay(st *manifest.State, nowMs int64) int64 {
	var bytes, samples [3]float64       // by level
	days := map[int64]model.TimeRange{} // of the samples in L2s, by day
	oldest := nowMs
	var rollups float64
	for _, b := range st.Blocks {
		if b.Tier != block.Raw {
			rollups += float64(b.Size) / float64(max(b.Days, 1))
			continue
		}
		bytes[b.Level] += float64(b.Size)
		samples[b.Level] += float64(b.Samples)
		oldest = min(oldest, b.OldestMs)
		if b.Level == block.L2 {
			tr, known := days[b.Partition]
			if !known {
				tr = b.Info.TimeRange()
			}
			days[b.Partition] = model.TimeRange{Min: min(tr.Min, b.MinTime), Max: max(tr.Max, b.MaxTime+1)}
		}
	}
	perSample := func(level block.Level, share float64) float64 {
		switch {
		case samples[level] > 0:
			return bytes[level] / samples[level]
		case samples[block.L2] > 0:
			return share * bytes[block.L2] / samples[block.L2]
		}
		return 0
	}
	merged := 0.0 // days that L2s span: the first is mostly a part of one
	for _, tr := range days {
		merged += max(float64(tr.Max-tr.Min)/float64(model.DayMs), 1.0/24)
	}
	rate := 0.0 // samples a day
	if merged > 0 {
		rate = samples[block.L2] / merged
	} else if all := samples[block.L0] + samples[block.L1]; all > 0 {
		rate = all / max(float64(nowMs-oldest)/float64(model.DayMs), 1.0/24)
	}
	perDay := rate * (perSample(block.L0, l0Share) + perSample(block.L1, l1Share))
	if st.Floor != manifest.NoFloor && merged > 0 {
		perDay += bytes[block.L2] / merged
	}
	if n := len(st.Coverage); n > 0 && rollups > 0 {
		blocks := 0
		for _, b := range st.Blocks {
			if b.Tier != block.Raw {
				blocks++
			}
		}
		perDay += rollupShare * rollups / float64(blocks) * float64(tiersOf(st))
	}
	return int64(perDay)
}

// tiersOf returns the number of rollups that cover some day.
func tiersOf(st *manifest.State) int {
	tiers := map[block.Tier]bool{}
	for k := range st.Coverage {
		tiers[k.Tier] = true
	}
	return len(tiers)
}
