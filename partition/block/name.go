package block

import (
	"fmt"

	"github.com/zeebo/xxh3"

	"tsdb/partition/format"
)

// Magic numbers of the two ends of a block. They never change; the version next
// to them may.
const (
	blockMagic   = "tsdbblck" // first 8 bytes of a block
	trailerMagic = "tsdbtail" // last 8 bytes of each copy of a block's tail
)

// blockVersion is the version of the block container. Sections have their own
// encoding ids, so it changes only when the header, section table, footer or
// directory pages change, or when columns get a new id: an older program must
// not mistake such columns for damaged ones and lose them in a merge. Blocks of
// all versions up to it can be read:
//
//	1  the first
//	2  chunks may have aggregates
//	3  columns may have restart points
//	4  a directory page is two parts, each compressed by itself
//	5  rollups: chunks of buckets and stand-ins, wider flags of chunks, a longer
//	   footer; generations of series
//	6  the footer repeats retention rules
const (
	blockVersion      = 6
	versionAggregates = 2
	versionParts      = 4
	versionRollups    = 5
	versionRules      = 6
)

// FileName returns the path of a block, relative to the data directory. It depends
// on m only, so a merge repeated after a crash writes the same file. The hash of
// the inputs distinguishes rewrites of one block that span the same generations;
// the ordinal distinguishes the outputs of one merge, and attempts at one block
// whose earlier files could not be removed. The name of a rollup tells its days and
// the highest tombstone that was applied, too.
func FileName(m Meta) string {
	dir := m.Key.Dir()
	if m.Level == L0 {
		attempt := ""
		if m.Ordinal > 0 {
			attempt = fmt.Sprintf("-%03d", m.Ordinal)
		}
		return fmt.Sprintf("%s/%012d-%012d%s%s", dir, m.MinGen, m.MaxGen, attempt, format.BlockSuffix)
	}
	h := xxh3.New()
	for _, names := range [][]string{m.Inputs, m.Sources} {
		for _, name := range names {
			_, _ = h.WriteString(name) // never fails
			_, _ = h.Write([]byte{0})
		}
	}
	if m.Tier != Raw {
		return fmt.Sprintf("%s/d%02d-%012d-%012d-t%d-%03d-%08x%s", dir,
			m.Days, m.MinGen, m.MaxGen, m.Tombstone, m.Ordinal, uint32(h.Sum64()), format.BlockSuffix)
	}
	return fmt.Sprintf("%s/l%d-%012d-%012d-%03d-%08x%s", dir,
		m.Level, m.MinGen, m.MaxGen, m.Ordinal, uint32(h.Sum64()), format.BlockSuffix)
}
