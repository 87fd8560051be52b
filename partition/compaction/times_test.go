package compaction_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/internal/storetest"
	"tsdb/partition/manifest"
)

// extremeTimes are times near which arithmetic overflows, or changes its sign,
// or where samples are no longer kept.
var extremeTimes = []int64{
	math.MinInt64, math.MinInt64 + 808, math.MinInt64 + model.DayMs, model.MinTime - model.DayMs, model.MinTime, -model.DayMs, 0,
	partitiontest.TestDay, model.MaxTime, model.MaxTime + model.DayMs, math.MaxInt64 - model.DayMs, math.MaxInt64 - 808, math.MaxInt64,
}

// aboutExtreme returns a time near an extreme one, which two bytes choose.
func aboutExtreme(at, by byte) int64 {
	t := extremeTimes[int(at)%len(extremeTimes)]
	d := int64(int8(by))
	if by%3 == 0 {
		d *= model.HourMs
	}
	if d > 0 {
		return model.AddTime(t, d)
	}
	return model.SubTime(t, -d)
}

// mergeExtremes writes samples at the times that bytes choose into L0s, as
// earlier versions did whatever the times, and merges them by a clock that the
// bytes choose too. What is kept must be there at each moment, everything must
// come to its final form, and nothing else may stay.
func mergeExtremes(t *testing.T, b []byte) {
	s := storetest.Open(t, vfs.NewMem())
	for cuts := 0; len(b) >= 4 && cuts < 12; cuts++ {
		n := min(1+int(b[0]%8), (len(b)-2)/2)
		s.NowMs = aboutExtreme(b[1], b[0])
		b = b[2:]
		c := storetest.Contents{}
		for k := range 3 {
			var ts []int64
			for i := range n {
				if i%3 >= k {
					ts = append(ts, aboutExtreme(b[2*i], b[2*i+1]))
				}
			}
			slices.Sort(ts)
			smp := &model.Samples{}
			for i, at := range slices.Compact(ts) {
				smp.Append(at, 0, float64(i), model.Histogram{})
			}
			if smp.Len() > 0 {
				c[k] = smp
			}
		}
		b = b[2*n:]
		partitiontest.Must(t, s.CutOf(c))
		partitiontest.Must(t, s.Check())
		for merges := 0; merges < 100; merges++ {
			more, err := s.Merge(compaction.PlanMerge)
			partitiontest.Must(t, err)
			partitiontest.Must(t, s.Check())
			if !more {
				break
			}
			if merges == 99 {
				t.Fatal("merges do not end")
			}
		}
		partitiontest.Must(t, s.Retire())
		partitiontest.Must(t, s.Check())
	}
	partitiontest.Must(t, s.MergeAll())
	partitiontest.Must(t, s.Check())
	for _, b := range s.M.State().Sorted() {
		if b.Level != block.L2 || !model.ValidTime(b.MinTime) || !model.ValidTime(b.MaxTime) {
			t.Errorf("%s with times from %d to %d is left", b.Name, b.MinTime, b.MaxTime)
		}
	}
}

func FuzzMergeOfExtremeTimes(f *testing.F) {
	for i := range extremeTimes {
		at := byte(i)
		f.Add([]byte{3, 7, at, 0, at, 1, 7, 5, 7, 2, 3, 7, at, 255, 7, 9, at, 0, 7, 3})         // beside good ones
		f.Add([]byte{1, at, 7, 0, 7, 1, 1, at, 7, 5, 7, 2, 2, 7, 7, 5, 7, 9, 7, 9, 7, 1})       // as the clock
		f.Add([]byte{1, 7, at, 0, at, 1, 1, 7, at, 5, at, 2, 2, 7, at, 5, at, 9, at, 9, at, 1}) // alone
	}
	f.Fuzz(mergeExtremes)
}

// FuzzPlanOfExtremeTimes gives the planner blocks and a clock of any times: its
// plans are for blocks that are there, and it stops.
func FuzzPlanOfExtremeTimes(f *testing.F) {
	f.Add(int64(math.MinInt64), int64(math.MaxInt64), int64(math.MinInt64), []byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add(int64(math.MaxInt64), int64(math.MinInt64), int64(0), binary.BigEndian.AppendUint64(nil, math.MaxUint64))
	f.Fuzz(func(t *testing.T, now, oldest, newest int64, b []byte) {
		var blocks []compaction.Candidate
		for i := 0; i+3 <= len(b) && i < 64; i += 3 {
			lo, hi := aboutExtreme(b[i], b[i+1]), aboutExtreme(b[i+1], b[i])
			info := block.Info{Size: 100, MinTime: min(lo, hi), MaxTime: max(lo, hi)}
			gen := uint64(1000 + i)
			info.Meta = block.Meta{Key: block.SpanningKey(block.L0), MinGen: gen, MaxGen: gen}
			if b[i+2]%2 == 0 {
				info.Level, info.MinGen, info.MaxGen, info.Inputs = block.L1, gen-1000+1, gen-1000+1, []string{"x"}
				info.Partition = block.Raw.PartitionStart(info.MaxTime)
				info.MinTime = max(info.MinTime, info.Partition)
			}
			info.Name = block.FileName(info.Meta)
			blocks = append(blocks, compaction.Candidate{Listed: manifest.Listed{Info: info, OldestMs: min(oldest, newest), NewestMs: max(oldest, newest)}})
		}
		slices.SortFunc(blocks, func(a, b compaction.Candidate) int { return block.CompareInfo(a.Info, b.Info) })
		for _, plan := range []func([]compaction.Candidate, compaction.PlanOptions) (compaction.Plan, bool){compaction.PlanMerge, compaction.PlanFinal} {
			for _, free := range []uint64{0, 1000, math.MaxUint64} {
				p, ok := plan(blocks, compaction.PlanOptions{NowMs: now, FreeBytes: free, WALLow: 1 << 20})
				if ok && (len(p.Inputs) == 0 || p.Bytes > int64(free) && free < math.MaxInt64) {
					t.Fatalf("plan %+v", p)
				}
			}
		}
	})
}

func TestRetentionAtTheEndsOfInt64(t *testing.T) {
	for _, c := range []struct{ now, retention, want int64 }{
		{partitiontest.TestDay, 0, manifest.NoFloor},
		{partitiontest.TestDay, -1, manifest.NoFloor},
		{partitiontest.TestDay, math.MaxInt64, manifest.NoFloor},
		{math.MinInt64, 1, manifest.NoFloor},
		{model.MinTime, model.DayMs, manifest.NoFloor},
		{partitiontest.TestDay, model.DayMs, block.Raw.PartitionStart(partitiontest.TestDay - model.DayMs)},
		{math.MaxInt64, 1, block.Raw.PartitionStart(math.MaxInt64 - 1)},
	} {
		if got := compaction.RetentionTarget(c.now, c.retention); got != c.want {
			t.Errorf("RetentionTarget(%d, %d) is %d, want %d", c.now, c.retention, got, c.want)
		}
	}
}
