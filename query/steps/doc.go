// Package steps has the times at which a query is evaluated.
//
// A Grid is the times start, start + step, … of an expression; a Set is the steps
// at which something holds, of all grids with the same step and phase.
package steps
