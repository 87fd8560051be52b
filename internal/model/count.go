package model

import "strconv"

// FormatCount returns a number and its noun in the form that goes with it: 1 sample,
// 2 samples. The plural of noun is formed by an s.
func FormatCount[N int | int64 | uint64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.FormatInt(int64(n), 10) + " " + noun
}
