// Package steps represents the times at which a query is evaluated.
//
// A Grid is the evaluation times start, start + step, … of an expression. A Set is a
// set of steps that is shared by all grids with the same step and phase.
package steps
