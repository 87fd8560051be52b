package ingest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"tsdb/storage"
)

// maxExcerptBytes bounds the excerpt of a series, line or label in a message, and
// maxDetailBytes the explanation.
const (
	maxExcerptBytes = 300
	maxDetailBytes  = 3 * maxExcerptBytes
)

// describe returns the text of a rejection for the client, with one series as an
// example.
func describe(r storage.Rejection) string {
	text := clip(r.Detail, maxDetailBytes)
	if text == "" {
		text = string(r.Reason)
	}
	if series := clip(r.Series, maxExcerptBytes); series != "" && !strings.Contains(text, series) {
		text += " for series " + series
	}
	return text
}

// summary returns the text of a partial write: the numbers of samples written and
// refused, and an example for each reason. It is a single line, because senders
// log only the first.
func summary(written, refused int, rs []storage.Rejection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "partial write: %d written, %d refused", written, refused)
	for i, r := range rs {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s (%s, %d)", sep, describe(r), r.Reason, r.Count)
	}
	return strings.ReplaceAll(b.String(), "\n", " ")
}

// clip truncates s to at most n bytes, at a character boundary, and appends an
// ellipsis.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
