package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/cardinality"
	"tsdb/storage/datadir"
	"tsdb/storage/history"
	"tsdb/storage/snapshot"
	"tsdb/storage/wal"
)

// Inspect lists the partitions and blocks of a data directory, and the bytes of
// blocks by use. It changes nothing. Beside a server that has the
// directory open it leaves out the log.
func Inspect(ctx context.Context, fs vfs.FS, dir string, out io.Writer) error {
	log := "log in use by a running server"
	unlock, err := datadir.Lock(fs, dir, "")
	switch {
	case errors.Is(err, datadir.ErrInUse):
	case err != nil:
		return err
	default:
		defer unlock()
		rec, err := datadir.ScanLog(fs, dir)
		if err != nil {
			return err
		}
		log = fmt.Sprintf("log %d bytes, %d frames", rec.Report().Bytes, rec.Report().Frames)
	}
	l := datadir.OpenListed(fs, dir)
	defer l.Close()
	if l.Err != nil {
		return l.Err
	}
	st := l.State
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "edit %d\tgenerations in the log from %d\t%s\n", st.Number, st.WALLow, log)
	if st.Incarnation.ID != 0 {
		fmt.Fprintf(w, "incarnation\t%016x\n", st.Incarnation.ID)
	}
	fmt.Fprintf(w, "history\t%d bytes a day, estimated, with --history.keep\n", history.BytesPerDay(st, st.WallMs))
	switch days, bytes, err := cardinality.Check(fs, dir); {
	case err != nil:
		fmt.Fprintf(w, "counts of days\tunreadable: %v\n", err)
	case days > 0:
		fmt.Fprintf(w, "counts of days\t%d days, %d bytes\n", days, bytes)
	}
	if st.Floor != manifest.NoFloor {
		fmt.Fprintf(w, "retention floor\t%s\n", model.FormatTime(st.Floor))
	}
	for _, t := range block.Rollups {
		if floor := st.TierFloor(t); floor != manifest.NoFloor {
			fmt.Fprintf(w, "retention floor of %v\t%s\n", t, model.FormatTime(floor))
		}
	}
	fmt.Fprintf(w, "\npartition\ttier\tlevel\tgenerations\tseries\tsamples\tbytes\tB/sample\tblock\n")
	totals := map[block.Tier]*tierTotal{}
	blocks := st.Sorted()
	slices.SortStableFunc(blocks, func(a, b manifest.Listed) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Partition, b.Partition))
	})
	for _, b := range blocks {
		fmt.Fprintf(w, "%s\t%v\t%v\t%d-%d\t%d\t%d\t%d\t%s\t%s\n", days(b.Info), b.Tier, b.Level, b.MinGen, b.MaxGen, b.Series, b.Samples, b.Size, perSample(b.Size, b.Samples), b.Name)
		t := totals[b.Tier]
		if t == nil {
			t = &tierTotal{}
			totals[b.Tier] = t
		}
		t.rows += b.Samples
		t.bytes += b.Size
		if err := l.Errs[b.Name]; err != nil {
			fmt.Fprintf(w, "\t\t\t\t\t\t\t\tunreadable: %v\n", err)
			continue
		}
		stats, err := l.Blocks[b.Name].Stats(ctx)
		if err == nil {
			t.stats.Add(stats)
		} else {
			fmt.Fprintf(w, "\t\t\t\t\t\t\t\tno statistics: %v\n", err)
		}
	}
	tiers := append([]block.Tier{block.Raw}, block.Rollups...)
	for _, tier := range tiers {
		if t := totals[tier]; t != nil || tier == block.Raw {
			t = cmp.Or(t, &tierTotal{})
			fmt.Fprintf(w, "total\t%v\t\t\t\t%d\t%d\t%s\t\n", tier, t.rows, t.bytes, perSample(t.bytes, t.rows))
		}
	}
	writeCoverage(w, st)
	for _, tier := range tiers {
		if t := totals[tier]; t != nil {
			writeTier(w, tier, t)
		}
	}
	return w.Flush()
}

// tierTotal sums up the blocks of a tier.
type tierTotal struct {
	rows  uint64 // samples; buckets and stand-ins of a rollup
	bytes int64
	stats block.Stats // of the readable blocks
}

// days returns the partition of a block, of a folded rollup the first and the last.
func days(b block.Info) string {
	if b.Partition == block.NoPartition {
		return "several"
	}
	span := b.Span()
	first := dayText(span.Min)
	if b.Days > 1 {
		first += ".." + dayText(span.Max-b.Tier.PartitionMs())
	}
	return first
}

func dayText(ms int64) string { return model.FormatTime(ms)[:10] }

// writeTier writes the bytes of the blocks of a tier by use.
func writeTier(w io.Writer, tier block.Tier, t *tierTotal) {
	row := "sample"
	if tier != block.Raw {
		row = "row"
	}
	fmt.Fprintf(w, "\ntier %v\n", tier)
	sum := &t.stats
	writeShares(w, sum, t.rows, row)
	fmt.Fprintf(w, "\ncolumn\ttransform\torder\tcoder\tplace\tcolumns\tvalues\tshare\tbytes\tB/%s\n", row)
	for _, c := range sum.Columns {
		fmt.Fprintf(w, "%v\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%d\t%s\n", c.Kind, orDash(c.Transform), orDash(c.Order), orDash(c.Coder), c.Place,
			c.Columns, c.Samples, share(c.Bytes, sum.Bytes()), c.Bytes, perSample(c.Bytes, t.rows))
	}
	fmt.Fprintf(w, "\nsection\tshare\tbytes\tB/%s\n", row)
	for _, s := range append(sum.Sections, block.SectionStats{Name: "header and tail", Bytes: sum.Other}) {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", s.Name, share(s.Bytes, sum.Bytes()), s.Bytes, perSample(s.Bytes, t.rows))
	}
}

// writeCoverage writes which days the rollups cover. Adjacent days in one block are one
// line.
func writeCoverage(w io.Writer, st *manifest.State) {
	all := st.SortedCoverage()
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\nrollup\tdays\tnumber\tgeneration\ttombstone\tsources\tunreadable ranges\tblock\n")
	for i := 0; i < len(all); {
		first := all[i]
		lo, hi, tombstone, sources, lost := first.Gen, first.Gen, uint64(0), 0, 0
		j := i
		for ; j < len(all) && all[j].Tier == first.Tier && all[j].Block == first.Block && all[j].StandIn == first.StandIn &&
			(j == i || all[j].Day == all[j-1].Range().Max); j++ {
			lo, hi = min(lo, all[j].Gen), max(hi, all[j].Gen)
			tombstone = max(tombstone, all[j].Tombstone)
			sources += len(all[j].Sources)
			lost += len(all[j].Lost)
		}
		name := first.Block
		switch {
		case first.StandIn:
			name = "samples stand in"
		case name == "":
			name = "no samples"
		}
		days := dayText(first.Day)
		if j > i+1 {
			days += ".." + dayText(all[j-1].Day)
		}
		fmt.Fprintf(w, "%v\t%s\t%d\t%d-%d\t%d\t%d\t%d\t%s\n", first.Tier, days, j-i, lo, hi, tombstone, sources, lost, name)
		i = j
	}
}

// writeShares writes the bytes of columns by kind, transform, order, coder and
// place, and those of the index with the directory. row is the word for a row.
func writeShares(w io.Writer, sum *block.Stats, samples uint64, row string) {
	fmt.Fprintf(w, "\nby\t\tcolumns\tvalues\tshare\tbytes\tB/%s\n", row)
	index := sum.Other
	for _, s := range sum.Sections {
		index += s.Bytes
	}
	fmt.Fprintf(w, "kind\tindex\t\t\t%s\t%d\t%s\n", share(index, sum.Bytes()), index, perSample(index, samples))
	for _, by := range []struct {
		name string
		of   func(block.ColumnClass) string
	}{
		{"kind", func(c block.ColumnClass) string { return c.Kind.String() }},
		{"transform", func(c block.ColumnClass) string { return c.Transform }},
		{"order", func(c block.ColumnClass) string { return c.Order }},
		{"coder", func(c block.ColumnClass) string { return c.Coder }},
		{"place", func(c block.ColumnClass) string { return c.Place }},
	} {
		var names []string // most bytes first
		totals := map[string]block.ColumnStats{}
		for _, c := range sum.Columns {
			name := by.of(c.ColumnClass)
			if name == "" {
				continue
			}
			t := totals[name]
			if t.Columns == 0 && t.Samples == 0 {
				names = append(names, name)
			}
			t.Columns, t.Samples, t.Bytes = t.Columns+c.Columns, t.Samples+c.Samples, t.Bytes+c.Bytes
			totals[name] = t
		}
		slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(totals[b].Bytes, totals[a].Bytes) })
		for _, name := range names {
			t := totals[name]
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%d\t%s\n", by.name, name, t.Columns, t.Samples, share(t.Bytes, sum.Bytes()), t.Bytes, perSample(t.Bytes, samples))
		}
	}
}

func share(bytes, of int64) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(bytes)/float64(of))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func perSample(bytes int64, samples uint64) string {
	if samples == 0 {
		return "-"
	}
	return fmt.Sprintf("%.4f", float64(bytes)/float64(samples))
}

// InspectFile writes one file of a data directory as lines of offset, bytes and
// meaning. The kind of the file follows from its name.
func InspectFile(ctx context.Context, fs vfs.FS, name string, out io.Writer) error {
	base := path.Base(name)
	switch {
	case base == format.ManifestName || base == format.TwinName || history.IsFile(base):
		return manifest.Describe(out, fs, name)
	case strings.HasSuffix(base, format.BlockSuffix):
		object, err := objstore.OpenFile(fs, name)
		if err != nil {
			return fmt.Errorf("open block %s: %w", base, err)
		}
		b, err := block.OpenObject(object, base, nil)
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }() // it was only read
		return b.Describe(ctx, out)
	case base == format.SegmentsName:
		return wal.DescribeList(out, fs, name)
	case base == format.CountsName:
		return cardinality.Describe(out, fs, name)
	case base == format.SnapshotName:
		return snapshot.Describe(out, fs, name)
	case path.Ext(base) == ".wal":
		return wal.Describe(out, fs, name)
	}
	return fmt.Errorf("%s: not a block (*%s), a log segment (*.wal), a %s, a %s, a %s or a %s", name, format.BlockSuffix, format.ManifestName, format.SegmentsName, format.CountsName, format.SnapshotName)
}
