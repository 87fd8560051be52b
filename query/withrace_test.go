//go:build race

package query_test

const raceEnabled = true

// raceFactor is how much longer than usual things may take.
const raceFactor = 10
