// Package repair restores a MANIFEST from a usable copy or, if there is none, from
// intact records and the footers of blocks. NewPlan makes a Plan, which can be shown
// first; Plan.Apply executes it. Options hold the state of the WAL.
package repair
