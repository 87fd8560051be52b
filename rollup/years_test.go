package rollup

import (
	"math"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
)

// fleet is a constant load of which the bytes were measured (BenchmarkRoll).
type fleet struct {
	name      string
	rawBytes  int64                  // of a day of samples
	tierBytes map[block.Tier]int64   // of a day of buckets; 0: the samples stand in
	kept      map[block.Tier]float64 // days, Raw included
}

// Two years of fleets: what lies on the disk, how many blocks are open, and how often
// a byte is written.
func TestTwoYearsOfRollups(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates two years")
	}
	const series = 5000
	kept := map[block.Tier]float64{block.Raw: 30, block.Minute: 180, block.Hour: 5 * 365}
	for _, f := range []fleet{
		// 0.4 bytes a sample, 10 to 13 a row of an hour; minutes would take 7 a row.
		{"5,000 series at 15 s", series * 5760 * 4 / 10, map[block.Tier]int64{block.Minute: 0, block.Hour: series * 24 * 11}, kept},
		{"5,000 series at 1 s", series * 86_400 * 3 / 10, map[block.Tier]int64{block.Minute: series * 1440 * 73 / 10, block.Hour: series * 24 * 13}, kept},
	} {
		t.Run(f.name, func(t *testing.T) {
			s := newSimulation(t, block.Minute, block.Hour)
			s.fleet = &f
			const cuts = 2 // a day
			for day := range int64(730) {
				for range cuts {
					s.nowMs += model.DayMs / cuts
					s.cut(map[int64]int64{block.Raw.PartitionStart(s.nowMs - 1): f.rawBytes / cuts})
					for s.merge(compaction.PlanMerge) {
					}
					for s.step(false) {
					}
				}
				s.retainAll()
				if (day+1)%73 == 0 {
					raw, rawBlocks := s.sum(block.Raw)
					minutes, minuteBlocks := s.sum(block.Minute)
					hours, hourBlocks := s.sum(block.Hour)
					t.Logf("day %3d: raw %6.1f MiB in %3d blocks, 1m %6.1f MiB in %2d, 1h %6.1f MiB in %2d, %3d blocks in all", day+1,
						mib(raw), rawBlocks, mib(minutes), minuteBlocks, mib(hours), hourBlocks, rawBlocks+minuteBlocks+hourBlocks)
				}
			}
			var written, final int64
			for _, n := range s.written {
				written += n
			}
			for _, n := range f.tierBytes {
				final += n * 730
			}
			ratio := float64(written) / float64(final)
			t.Logf("bytes of rollups written: %.2f times; at most %d blocks of rollups; steps %v", ratio, s.most, s.steps)
			raw, _ := s.sum(block.Raw)
			days := 30 + 3
			if f.tierBytes[block.Minute] == 0 {
				days = 180 + 3
			}
			if most := f.rawBytes * int64(days); raw > most {
				t.Errorf("raw blocks have %d bytes after two years, want at most %d", raw, most)
			}
			if ratio > 3.2 || s.most > 60 {
				t.Errorf("written %.2f times, %d blocks", ratio, s.most)
			}
		})
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// sum returns the bytes and the number of the blocks of a tier.
func (s *simulation) sum(tier block.Tier) (bytes int64, n int) {
	for _, b := range s.state.Blocks {
		if b.Tier == tier {
			bytes, n = bytes+b.Size, n+1
		}
	}
	return bytes, n
}

// retainAll moves all retention floors as the job does.
func (s *simulation) retainAll() {
	o := compaction.RetentionOptions{Tiers: map[block.Tier]int64{}, HeadMin: math.MaxInt64}
	for tier, days := range s.fleet.kept {
		target := compaction.RetentionTarget(s.nowMs, int64(days*float64(model.DayMs)))
		if tier == block.Raw {
			o.Raw = target
		} else {
			o.Tiers[tier] = target
		}
	}
	if e, ok := compaction.PlanRetention(s.state, o); ok {
		s.apply(e)
	}
}
