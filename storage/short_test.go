package storage

import "testing"

// unlessShort returns n, or few under -short: the race detector goes over what runs at
// the same time, for which a few rounds are as good as many.
func unlessShort(n, few int) int {
	if testing.Short() {
		return few
	}
	return n
}
