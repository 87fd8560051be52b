package model

import (
	"fmt"
	"time"
)

// FormatTime returns Unix milliseconds as people read them: in RFC 3339 with
// milliseconds, or as a number outside the years 1 to 9999.
func FormatTime(ms int64) string {
	if ms < -62135596800000 || ms > 253402300799999 {
		return fmt.Sprintf("%d ms", ms)
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
