package ingest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"tsdb/storage"
)

// maxExcerptBytes bounds the bytes of one series, line or label in a message, and
// maxDetailBytes those of what is said about it.
const (
	maxExcerptBytes = 300
	maxDetailBytes  = 3 * maxExcerptBytes
)

// describe says what was refused and why, with one series as the example, for
// an answer to the client.
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

// summary is the text of a partial write: how many samples were written, how
// many refused, and an example of each reason. It is one line, because the
// first line is what senders log.
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

// clip shortens s to at most n bytes and a mark, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
