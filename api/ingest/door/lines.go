package door

import (
	"bytes"
	"iter"
)

// Lines yields the lines of a text without their ends, "\n" or "\r\n", in order. Empty
// lines are left out. The slices point into text.
func Lines(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			line := text
			if n := bytes.IndexByte(text, '\n'); n >= 0 {
				line, text = text[:n], text[n+1:]
			} else {
				text = nil
			}
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			if len(line) > 0 && !yield(line) {
				return
			}
		}
	}
}
