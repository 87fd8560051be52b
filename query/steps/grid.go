package steps

import "errors"

// Grid is the times an expression is evaluated at: start, start + step, …, n
// of them, in Unix milliseconds. A grid of no times has no answers.
type Grid struct {
	Start, Step int64 // step > 0
	N           int
	Instant     bool // one time by intent, not because the next is past the end
}

func (g Grid) At(i int) int64 { return g.Start + int64(i)*g.Step }

// Last returns the last time; n must not be 0.
func (g Grid) Last() int64 { return g.At(g.N - 1) }

// New returns the times from start to end.
func New(start, end, step int64) Grid {
	if end < start {
		return Grid{Start: start, Step: step}
	}
	return Grid{Start: start, Step: step, N: int((end-start)/step) + 1, Instant: start == end}
}

func (g Grid) Times() Grid { return g }

// Touches reports whether two grids of a step and phase overlap or follow each
// other.
func (g Grid) Touches(o Grid) bool {
	return g.Start <= o.Last()+o.Step && o.Start <= g.Last()+g.Step
}

// Union returns the times of two such grids and all between.
func (g Grid) Union(o Grid) Grid {
	start, last := min(g.Start, o.Start), max(g.Last(), o.Last())
	return Grid{Start: start, Step: g.Step, N: int((last-start)/g.Step) + 1}
}

// Slice returns the steps from ≤ i < to of a grid.
func (g Grid) Slice(from, to int) Grid { return Grid{Start: g.At(from), Step: g.Step, N: to - from} }

// ErrIndivisible ends the evaluation of a part of a grid that raises a warning or
// an error, which may depend on other steps: the query is evaluated again as a
// whole.
var ErrIndivisible = errors.New("the answer cannot be joined from parts")
