// Package repair brings back a MANIFEST of which no copy can be used. It is about
// the Options that say what the log knows, the Plan, which is made of intact
// records and of the footers of blocks and can be shown first, and its Apply.
package repair
