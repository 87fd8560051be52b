package storage

import (
	"cmp"
	"fmt"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
)

// tierStatus returns the status of the tiers that have blocks or are on, raw first, and
// what they will take.
func (v *View) tierStatus(o *policy, nowMs int64) ([]TierStatus, Forecast) {
	raw := v.st.blocks.Raw()
	rawDays := make(map[int64]float64)
	for _, e := range raw {
		if e.Level != block.L0 { // the samples of an L0 are not in their final form
			rawDays[e.Partition] += float64(e.Size)
		}
	}
	rates := []tierRate{{retentionMs: o.RawMs, bytes: perDay(listDays(rawDays), nowMs)}}
	all := []TierStatus{newTierStatus(block.Raw, true, raw)}
	for _, tier := range block.Rollups {
		retention, on := o.TierMs[tier]
		of := slices.DeleteFunc(slices.Clone(v.st.blocks.Rollups()), func(e *blockset.Entry) bool { return e.Tier != tier })
		if !on && len(of) == 0 {
			continue
		}
		all = append(all, newTierStatus(tier, on, of))
		r := tierRate{retentionMs: retention}
		if on {
			buckets, standIn := v.rollupDays(tier, rawDays)
			r.bytes, r.standIn = perDay(buckets, nowMs), perDay(standIn, nowMs)
		}
		rates = append(rates, r)
	}
	total, each := forecast(rates)
	for i := range all {
		t := &all[i]
		t.RetentionMs, t.BytesPerDay, t.StandInBytesPerDay, t.FullBytes = rates[i].retentionMs, rates[i].bytes, rates[i].standIn, each[i].Bytes
	}
	return all, total
}

func newTierStatus(tier block.Tier, on bool, entries []*blockset.Entry) TierStatus {
	t := TierStatus{Tier: tier.String(), On: on, Blocks: len(entries), Partitions: partitions(entries)}
	for _, p := range t.Partitions {
		t.Bytes += p.Bytes
	}
	if !on {
		t.Note = fmt.Sprintf("the tier is off and keeps these bytes for ever; to drop them, set --retention.%v=1d until they have gone, then off again", tier)
	}
	return t
}

// logTiersOff logs the tiers that are off and keep blocks.
func (db *DB) logTiersOff() {
	bytes := make(map[block.Tier]int64)
	for _, b := range db.catalog.manifest.State().Blocks {
		if _, on := db.opts.TierRetentionMs[b.Tier]; b.Tier != block.Raw && !on {
			bytes[b.Tier] += b.Size
		}
	}
	for _, tier := range block.Rollups {
		if n := bytes[tier]; n > 0 {
			db.log.Warn("a rollup is off and what it has is kept for ever", "tier", tier.String(), "bytes", n,
				"drop", fmt.Sprintf("--retention.%v=1d until it has gone, then off again", tier))
		}
	}
}

func listDays(bytes map[int64]float64) []dayBytes {
	var all []dayBytes
	for start, n := range bytes {
		all = append(all, dayBytes{start, n})
	}
	return all
}

// rollupDays returns the bytes of the covered days of a tier: those of the buckets, a
// block divided by its days, and those of the samples that stand in. rawDays are the
// bytes of the samples.
func (v *View) rollupDays(tier block.Tier, rawDays map[int64]float64) (buckets, standIn []dayBytes) {
	st := v.st.blocks.State()
	daysOf := make(map[string]int)
	for key, c := range st.Coverage {
		if key.Tier == tier && c.Block != "" {
			daysOf[c.Block]++
		}
	}
	var newest manifest.Coverage // with a block and samples
	for key, c := range st.Coverage {
		if key.Tier != tier {
			continue
		}
		b := dayBytes{start: key.Day}
		if n := daysOf[c.Block]; n > 0 {
			b.bytes = float64(st.Blocks[c.Block].Size) / float64(n)
			if _, ok := rawDays[key.Day]; ok && (newest.Block == "" || newest.Day < key.Day) {
				newest = c
			}
		}
		buckets = append(buckets, b)
	}
	share := v.standInShare(&newest)
	for key, c := range st.Coverage {
		switch raw, ok := rawDays[key.Day]; {
		case key.Tier != tier || !ok:
		case c.StandIn:
			standIn = append(standIn, dayBytes{key.Day, raw})
		default:
			standIn = append(standIn, dayBytes{key.Day, raw * share})
		}
	}
	return buckets, standIn
}

// standInShare returns the share of the samples of a day that stand in for buckets,
// 0 to 1, from the directory of its rollup block. It is 0 if that cannot be read.
func (v *View) standInShare(c *manifest.Coverage) float64 {
	e := v.st.blocks.Find(c.Block)
	if c.Block == "" || e == nil || e.Block() == nil || c.Tier >= block.Hour {
		return 0
	}
	var all, standing uint64
	for _, raw := range v.st.blocks.Raw() {
		if raw.Level != block.L0 && raw.Partition == c.Day {
			all += raw.Samples
		}
	}
	it := e.Block().Iterate()
	for it.Next() {
		chunks, _ := it.Chunks() // those that can be read
		for _, k := range chunks {
			if k.Kind == block.KindStandIn && k.Overlaps(c.Range()) {
				days := (k.MaxTime - k.MinTime + 1) / model.DayMs
				standing += uint64(k.Count) / uint64(max(days, 1))
			}
		}
	}
	if all == 0 || it.Err() != nil {
		return 0
	}
	return min(float64(standing)/float64(all), 1)
}

// partitions adds up the blocks of a tier by the days that they span.
func partitions(entries []*blockset.Entry) []PartitionStatus {
	parts := make(map[model.TimeRange]*PartitionStatus)
	for _, e := range entries {
		var span model.TimeRange
		if e.Level == block.L0 {
			// A cut spans partitions; it is shown where it ends.
			span = e.Tier.PartitionRange(e.MaxTime)
		} else {
			span = e.Span()
		}
		p := parts[span]
		if p == nil {
			p = &PartitionStatus{Start: rfc3339(span.Min), End: rfc3339(span.Max)}
			parts[span] = p
		}
		p.Blocks++
		p.Bytes += e.Size
		p.Samples += e.Samples
		p.Series = max(p.Series, e.Series)
	}
	list := make([]PartitionStatus, 0, len(parts))
	for _, p := range parts {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	return list
}
