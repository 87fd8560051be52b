package archive

import (
	"fmt"
	"time"
)

// Target is the moment that is restored. The zero value is the newest mark.
type Target struct {
	AtMs *int64  // Unix milliseconds
	LSN  *uint64 // last frame of the log
}

// passed reports whether a frame, or a mark, is after the target. maxMs is the highest
// wall time of a frame up to it.
func (t Target) passed(lsn uint64, maxMs int64) bool {
	return t.LSN != nil && lsn > *t.LSN || t.AtMs != nil && maxMs > *t.AtMs
}

func (t Target) String() string {
	switch {
	case t.AtMs != nil:
		return timeText(*t.AtMs)
	case t.LSN != nil:
		return fmt.Sprintf("LSN %d", *t.LSN)
	}
	return "the newest backup"
}

func timeText(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// base returns the index of the newest mark that is not after the target.
func (t Target) base(marks []MarkRef) (int, error) {
	if t.AtMs == nil && t.LSN == nil {
		return len(marks) - 1, nil
	}
	i := len(marks) - 1
	for i >= 0 && t.passed(marks[i].LSN, marks[i].WallMs) {
		i--
	}
	if i < 0 {
		return 0, fmt.Errorf("%w: %v is before the first backup, %s at LSN %d", ErrNotCovered, t, timeText(marks[0].WallMs), marks[0].LSN)
	}
	return i, nil
}

// chain collects the pieces that lead from a mark on, as far as there is no gap.
type chain struct {
	pieces []piece // by rising LSN
	end    uint64  // LSN of the last frame
	maxMs  int64   // highest wall time up to there
}

// newChain begins with the log of a mark. What is missing in it was missing in the
// database.
func newChain(m *mark) *chain {
	c := &chain{end: m.LSN, maxMs: m.MaxMs}
	for _, p := range m.Pieces {
		if p.Generation >= m.Low {
			c.pieces = append(c.pieces, p)
		}
	}
	return c
}

// extend adds the pieces of a later mark that follow without a gap, and reports whether
// they reach it.
func (c *chain) extend(m *mark) bool {
	for _, p := range m.Pieces {
		if p.Last <= c.end {
			continue
		}
		if p.Prev > c.end {
			return false
		}
		c.pieces = append(c.pieces, p)
		c.end, c.maxMs = p.Last, max(c.maxMs, p.LastMs)
	}
	return c.end >= m.LSN
}
