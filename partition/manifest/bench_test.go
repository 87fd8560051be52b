package manifest

import (
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
)

// BenchmarkEditOfManyDays checks, applies and writes an edit that covers one more day,
// in a database with five years of hours in blocks of 64 days and half a year of
// minutes in blocks of 8.
func BenchmarkEditOfManyDays(b *testing.B) {
	s := NewState(1, 0)
	s.WALLow = 7
	add := func(tier block.Tier, days int64, each uint32) {
		for day := int64(0); day < days; day += int64(each) {
			info := rollupBlock(tier, each, 0, cutBlock(1, 4))
			info.Partition -= (days - day) * model.DayMs
			info.MinTime, info.MaxTime = info.Partition+tier.Ms(), info.Partition+tier.Ms()
			info.Name = block.FileName(info.Meta)
			s.Blocks[info.Name] = Listed{Info: info}
			for n := range int64(each) {
				c := cover(tier, n-days+day, info.Name, 4, cutBlock(1, 4), cutBlock(5, 5))
				s.Coverage[c.CoverKey] = c
			}
		}
	}
	add(block.Hour, 29*64, 64)
	add(block.Minute, 184, 8)
	if err := s.Check(); err != nil {
		b.Fatal(err)
	}
	fsys := vfs.NewMem()
	if err := fsys.MkdirAll("d"); err != nil {
		b.Fatal(err)
	}
	if err := WriteCopy(fsys, "d", CopyNames[0], s); err != nil {
		b.Fatal(err)
	}
	m, err := Open(fsys, "d", 0)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	size := m.mu.log.size
	b.ReportAllocs()
	for n := int64(0); b.Loop(); n++ {
		if _, err := m.Apply(coverEdit(nil, cover(block.Minute, n%8, "", 4))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/float64(len(s.Coverage)), "B/entry")
}
