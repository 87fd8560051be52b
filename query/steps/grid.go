package steps

import "errors"

// Grid is the N evaluation times Start, Start + Step, … of an expression, in Unix
// milliseconds.
type Grid struct {
	Start, Step int64 // Step > 0
	N           int
	Instant     bool // the grid of an instant query, not of a range query with one step
}

func (g Grid) At(i int) int64 { return g.Start + int64(i)*g.Step }

// Last returns the last time; N must not be 0.
func (g Grid) Last() int64 { return g.At(g.N - 1) }

// New returns the grid of the times from start to end, both inclusive.
func New(start, end, step int64) Grid {
	if end < start {
		return Grid{Start: start, Step: step}
	}
	return Grid{Start: start, Step: step, N: int((end-start)/step) + 1, Instant: start == end}
}

func (g Grid) Times() Grid { return g }

// Touches reports whether two grids of the same step and phase overlap or are
// adjacent.
func (g Grid) Touches(o Grid) bool {
	return g.Start <= o.Last()+o.Step && o.Start <= g.Last()+g.Step
}

// Union returns the grid that covers two grids of the same step and phase.
func (g Grid) Union(o Grid) Grid {
	start, last := min(g.Start, o.Start), max(g.Last(), o.Last())
	return Grid{Start: start, Step: g.Step, N: int((last-start)/g.Step) + 1}
}

// Slice returns the steps from ≤ i < to of a grid.
func (g Grid) Slice(from, to int) Grid { return Grid{Start: g.At(from), Step: g.Step, N: to - from} }

// ErrIndivisible is returned when the evaluation of a part of a grid raises a warning
// or an error, which may depend on other steps. The query is then evaluated again as
// a whole.
var ErrIndivisible = errors.New("the answer cannot be joined from parts")
