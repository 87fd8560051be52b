package query

import "errors"

// grid is the times an expression is evaluated at: start, start + step, …, n
// of them, in Unix milliseconds. A grid of no times has no answers.
type grid struct {
	start, step int64 // step > 0
	n           int
	instant     bool // one time by intent, not because the next is past the end
}

func (g grid) at(i int) int64 { return g.start + int64(i)*g.step }

// last returns the last time; n must not be 0.
func (g grid) last() int64 { return g.at(g.n - 1) }

// newGrid returns the times from start to end.
func newGrid(start, end, step int64) grid {
	if end < start {
		return grid{start: start, step: step}
	}
	return grid{start: start, step: step, n: int((end-start)/step) + 1, instant: start == end}
}

func (g grid) times() grid { return g }

// touches reports whether two grids of a step and phase overlap or follow each
// other.
func (g grid) touches(o grid) bool {
	return g.start <= o.last()+o.step && o.start <= g.last()+g.step
}

// with returns the times of two such grids and all between.
func (g grid) with(o grid) grid {
	start, last := min(g.start, o.start), max(g.last(), o.last())
	return grid{start: start, step: g.step, n: int((last-start)/g.step) + 1}
}

// sub returns the steps from ≤ i < to of a grid.
func (g grid) sub(from, to int) grid { return grid{start: g.at(from), step: g.step, n: to - from} }

// errIndivisible ends the evaluation of a part of a grid that raises a warning or
// an error, which may depend on other steps: the query is evaluated again as a
// whole.
var errIndivisible = errors.New("the answer cannot be joined from parts")
