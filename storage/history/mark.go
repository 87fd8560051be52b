package history

import (
	"errors"
	"fmt"
	"time"

	commonmodel "github.com/prometheus/common/model"

	"tsdb/internal/model"
	"tsdb/partition/manifest"
)

// Mark is a moment whose state can be read.
type Mark struct {
	Number uint64 // rises with time
	WallMs int64  // the moment, Unix milliseconds
	// Low is the lowest generation that is not in the blocks of the mark: samples and
	// deletions from it on came later.
	Low uint64
}

// ErrGone is returned for a mark that has left since it was found.
var ErrGone = errors.New("the mark has left the history")

// ErrNoMark is the class of a NoMarkError.
var ErrNoMark = errors.New("no mark of the history")

// NoMarkError is returned by Find for a time before the oldest mark. It is an ErrNoMark.
type NoMarkError struct {
	AtMs     int64
	Any      bool  // there is a mark
	OldestMs int64 // of the oldest
	Keep     time.Duration
}

// Unwrap returns ErrNoMark.
func (e *NoMarkError) Unwrap() error { return ErrNoMark }

func (e *NoMarkError) Error() string {
	keep := commonmodel.Duration(e.Keep)
	if !e.Any {
		return fmt.Sprintf("there is no mark of %s or before: none has been taken yet, each cut takes one (--history.keep=%v)", model.FormatTime(e.AtMs), keep)
	}
	return fmt.Sprintf("there is no mark of %s or before: the oldest is of %s (--history.keep=%v)",
		model.FormatTime(e.AtMs), model.FormatTime(e.OldestMs), keep)
}

// group is a file of marks.
type group struct {
	first   uint64 // number of the first mark; orders groups
	wallMs  int64  // of the first mark
	name    string // in marksDir
	bytes   int64
	marks   []Mark
	damaged error // why not all of it can be read
}

// lastMs returns the time of the last mark that can be read.
func (g *group) lastMs() int64 {
	if n := len(g.marks); n > 0 {
		return g.marks[n-1].WallMs
	}
	return g.wallMs
}

// marksOf returns the marks of a file of states.
func marksOf(q *manifest.Sequence) []Mark {
	marks := make([]Mark, len(q.Edits))
	low := uint64(0)
	for i := range q.Edits {
		if e := &q.Edits[i]; e.WALLow != nil {
			low = *e.WALLow
		}
		marks[i] = Mark{Number: q.Edits[i].Number, WallMs: q.Edits[i].WallMs, Low: low}
	}
	return marks
}
