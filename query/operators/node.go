package operators

import (
	"errors"
	"fmt"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// Node is a planned expression: all decisions that do not depend on samples have been
// made. A node is immutable, so a plan can run more than once, also concurrently.
//
// A node implements tabler or opener: a tabler returns its whole value at once, an
// opener one column at a time, so that the parent node can fold the columns of many
// series without holding all of them in memory.
type Node interface{ Times() steps.Grid }

// tabler is a node whose columns depend on each other.
type tabler interface {
	Node
	table(f *Evaluation) (*table, error)
}

// opener is a node that produces its columns one at a time.
type opener interface {
	Node
	open(f *Evaluation) (columnSource, error)
}

// Uncovered is the error of an expression that runs on Prometheus' engine. Its value
// is the reason.
type Uncovered string

func (u Uncovered) Error() string { return "not covered: " + string(u) }

// IsUncovered reports whether the error is an Uncovered, and returns the reason.
func IsUncovered(err error) (reason string, ok bool) {
	var u Uncovered
	ok = errors.As(err, &u)
	return string(u), ok
}

// The reasons for fallbacks, in addition to function names. They are label values of
// a metric, so their number is small.
const (
	ReasonStorage       = "storage"        // the series are not from our storage
	ReasonSmoothed      = "smoothed"       // modifier of a vector selector
	ReasonAnchored      = "anchored"       // modifier of a matrix selector that is the whole query
	ReasonStepInvariant = "step_invariant" // a range as argument of a function that takes none
	reasonSparse        = "sparse"         // dense columns would take far more memory than the points
	ReasonExpression    = "expression"     // not supported by the planner
)

// Settings holds the settings that the evaluation of a plan depends on.
type Settings struct {
	DelayedNames  bool // metric names are dropped after the whole evaluation
	MaxSamples    int  // maximum number of points in memory
	MaxLabelValue int  // maximum bytes of a label value created by a query
}

// evalErrorf returns an error of the query itself, with the same text as in
// Prometheus.
func evalErrorf(format string, args ...any) error {
	return admission.ClipError(fmt.Errorf(format, args...))
}
