//go:build race

package query_test

const raceEnabled = true
