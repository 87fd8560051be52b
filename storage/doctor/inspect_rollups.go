package doctor

import (
	"fmt"
	"io"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
	"tsdb/storage/datadir"
)

// writeRollups writes the blocks of rollups, and how many days each tier covers.
func writeRollups(w io.Writer, l *datadir.Listed) {
	covered := map[block.Tier][]manifest.Coverage{}
	for _, c := range l.State.SortedCoverage() {
		covered[c.Tier] = append(covered[c.Tier], c)
	}
	if len(covered) == 0 {
		return
	}
	fmt.Fprintf(w, "\nrollup\tfrom\tto\tdays\tstand in\tretention floor\n")
	for _, tier := range block.Rollups {
		days, floor := covered[tier], "-"
		if len(days) == 0 {
			continue
		}
		if f := l.State.TierFloor(tier); f != manifest.NoFloor {
			floor = dateOf(f)
		}
		standIn := 0
		for _, c := range days {
			if c.StandIn {
				standIn++
			}
		}
		fmt.Fprintf(w, "%v\t%s\t%s\t%d\t%d\t%s\n", tier, dateOf(days[0].Day), dateOf(days[len(days)-1].Day), len(days), standIn, floor)
	}
	blocks := l.State.RollupBlocks()
	slices.SortStableFunc(blocks, func(a, b manifest.Listed) int { return a.Key.Compare(b.Key) })
	fmt.Fprintf(w, "\nrollup\tfrom\tdays\tvisible\tgenerations\tseries\trows\tbytes\tblock\n")
	for _, b := range blocks {
		visible := 0
		for _, c := range covered[b.Tier] {
			if c.Block == b.Name {
				visible++
			}
		}
		fmt.Fprintf(w, "%v\t%s\t%d\t%d\t%d-%d\t%d\t%d\t%d\t%s\n", b.Tier, dateOf(b.Partition), b.Days, visible, b.MinGen, b.MaxGen, b.Series, b.Samples, b.Size, b.Name)
		if err := l.Errs[b.Name]; err != nil {
			fmt.Fprintf(w, "\t\t\t\t\t\t\t\tunreadable: %v\n", err)
		}
	}
}

// dateOf returns the date of a partition from its first millisecond.
func dateOf(start int64) string { return model.FormatTime(start)[:10] }
