package archive

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"tsdb/partition/block"
)

// Parts of keys.
const (
	headsDir    = "heads/"
	headSuffix  = ".head"
	markSuffix  = ".mark"
	pieceSuffix = ".frames"
)

// IncarnationID names an incarnation in keys and to people: 16 hexadecimal digits.
func IncarnationID(id uint64) string { return fmt.Sprintf("%016x", id) }

// ParseIncarnation reads what IncarnationID writes.
func ParseIncarnation(s string) (uint64, error) {
	id, err := strconv.ParseUint(s, 16, 64)
	if err != nil || s != IncarnationID(id) || id == 0 {
		return 0, fmt.Errorf("%q is not an incarnation: want 16 hexadecimal digits", s)
	}
	return id, nil
}

func headKey(inc uint64) string { return headsDir + IncarnationID(inc) + headSuffix }

func markKey(inc uint64, m MarkRef) string {
	return fmt.Sprintf("%s/marks/%015d-%012d-%012d%s", IncarnationID(inc), m.WallMs, m.Edit, m.LSN, markSuffix)
}

// blockKey is a function of all that tells a block apart: deterministic names repeat after
// a restore.
func blockKey(inc uint64, b block.Info) string {
	ext := path.Ext(b.Name)
	return fmt.Sprintf("%s/blocks/%s-%d-%08x%s", IncarnationID(inc), strings.TrimSuffix(b.Name, ext), b.Size, b.CRC, ext)
}

func pieceKey(inc uint64, p *piece) string {
	return fmt.Sprintf("%s/log/%012d-%012d-%d-%d-%08x%s", IncarnationID(inc), p.Generation, p.Segment, p.First, p.Last, p.RawCRC, pieceSuffix)
}
