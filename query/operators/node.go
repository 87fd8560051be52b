package operators

import (
	"errors"
	"fmt"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// Node is an expression with everything decided that can be decided before
// a sample is read. A node is immutable: a plan can run more than once, also
// concurrently.
//
// It implements tabler or opener: the first makes its whole value at once, the
// second one column at a time, so that the node above can fold the columns of many
// series without holding all of them.
type Node interface{ Times() steps.Grid }

// tabler is a node whose columns depend on each other.
type tabler interface {
	Node
	table(f *Evaluation) (*table, error)
}

// opener is a node that makes its columns one by one.
type opener interface {
	Node
	open(f *Evaluation) (columnSource, error)
}

// Uncovered says why an expression is left to Prometheus' engine.
type Uncovered string

func (u Uncovered) Error() string { return "not covered: " + string(u) }

// IsUncovered returns the reason if the error means that the query is to run on
// Prometheus' engine.
func IsUncovered(err error) (reason string, ok bool) {
	var u Uncovered
	ok = errors.As(err, &u)
	return string(u), ok
}

// Reasons of fallbacks, besides the names of functions: label values of a
// metric, so they are few.
const (
	ReasonStorage       = "storage"        // the series do not come from our storage
	ReasonSmoothed      = "smoothed"       // modifier of a vector selector
	ReasonAnchored      = "anchored"       // modifier of a matrix selector that is the whole query
	ReasonStepInvariant = "step_invariant" // a range that is an argument of a function that takes none
	reasonSparse        = "sparse"         // dense columns would take far more memory than the points
	ReasonExpression    = "expression"     // something the parser knows and the planner does not
)

// Settings are the settings that the evaluation of a plan depends on.
type Settings struct {
	DelayedNames  bool // metric names are dropped after the whole evaluation
	MaxSamples    int  // points in memory
	MaxLabelValue int  // bytes of a label's value that a query makes
}

// evalErrorf returns an error of the query itself that Prometheus raises with the
// same words.
func evalErrorf(format string, args ...any) error {
	return admission.ClipError(fmt.Errorf(format, args...))
}
