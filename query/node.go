package query

import (
	"errors"
	"fmt"
)

// node is an expression with everything decided that can be before a sample is
// read. A node is immutable: a plan can run more than once, and at the same
// time.
//
// It implements tabler or opener: the first makes its whole value at once, the
// second one column at a time, so that what stands above can fold the columns
// of many series without ever holding them together.
type node interface{ times() grid }

// tabler is a node whose columns depend on each other.
type tabler interface {
	node
	table(f *frame) (*table, error)
}

// opener is a node that makes its columns one by one.
type opener interface {
	node
	open(f *frame) (source, error)
}

// uncovered says why an expression is left to Prometheus' engine.
type uncovered string

func (u uncovered) Error() string { return "not covered: " + string(u) }

// isUncovered returns the reason if the error means that the query is to run on
// Prometheus' engine.
func isUncovered(err error) (reason string, ok bool) {
	var u uncovered
	ok = errors.As(err, &u)
	return string(u), ok
}

// Reasons of fallbacks, besides the names of functions: label values of a
// metric, so they are few.
const (
	reasonStorage       = "storage"        // the series do not come from our storage
	reasonSmoothed      = "smoothed"       // modifier of a vector selector
	reasonAnchored      = "anchored"       // modifier of a matrix selector that is the whole query
	reasonStepInvariant = "step_invariant" // a range that is an argument of a function that takes none
	reasonSparse        = "sparse"         // dense columns would take far more memory than the points
	reasonExpression    = "expression"     // something the parser knows and the planner does not
)

// settings are what the evaluation of a plan depends on.
type settings struct {
	delayedNames  bool // metric names are dropped after the whole evaluation
	maxSamples    int  // points in memory
	maxLabelValue int  // bytes of a label's value that a query makes
}

// evalErrorf returns an error of the query itself that Prometheus raises with the
// same words.
func evalErrorf(format string, args ...any) error { return clipped(fmt.Errorf(format, args...)) }
