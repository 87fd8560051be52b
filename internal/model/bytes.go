package model

import "strconv"

// FormatBytes formats a number of bytes for a message, to three digits: 512 B, 1.5 KiB,
// 32 MiB.
func FormatBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 { // the negative ones too, of which there are none
		return strconv.FormatInt(n, 10) + " B"
	}
	v, unit := float64(n)/1024, 0
	for v >= 999.5 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + " " + units[unit:unit+1] + "iB"
}

// FormatBytesPair formats two numbers of bytes that a reader compares: with FormatBytes, or
// to the byte where that would not tell them apart.
func FormatBytesPair(a, b int64) (string, string) {
	x, y := FormatBytes(a), FormatBytes(b)
	if x == y && a != b {
		return strconv.FormatInt(a, 10) + " B", strconv.FormatInt(b, 10) + " B"
	}
	return x, y
}
