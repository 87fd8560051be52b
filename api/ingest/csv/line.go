package csv

import (
	"bytes"

	"tsdb/api/ingest/door"
)

// Split appends the first n fields of a line to dst, with their quotes. It returns
// false if a quote is not closed, or text follows it.
func Split(dst [][]byte, line []byte, n int) ([][]byte, bool) {
	for len(dst) < n {
		if len(line) == 0 || line[0] != '"' {
			end := bytes.IndexByte(line, ',')
			if end < 0 {
				return append(dst, line), true
			}
			dst, line = append(dst, line[:end]), line[end+1:]
			continue
		}
		end := 1
		for {
			k := bytes.IndexByte(line[end:], '"')
			if k < 0 {
				return dst, false
			}
			if end += k + 1; end == len(line) || line[end] != '"' {
				break
			}
			end++ // two quotes stand for one
		}
		dst = append(dst, line[:end])
		if end == len(line) {
			return dst, true
		}
		if line[end] != ',' {
			return dst, false
		}
		line = line[end+1:]
	}
	return dst, true
}

// Content returns a field of Split without its quotes.
func Content(field []byte) []byte {
	if len(field) < 2 || field[0] != '"' {
		return field
	}
	field = field[1 : len(field)-1]
	if bytes.IndexByte(field, '"') < 0 {
		return field
	}
	return bytes.ReplaceAll(field, []byte(`""`), []byte(`"`))
}

// number returns a field that holds a number, without quotes and blanks.
func number(field []byte) []byte {
	b := Content(field)
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for n := len(b); n > 0 && (b[n-1] == ' ' || b[n-1] == '\t'); n-- {
		b = b[:n-1]
	}
	return b
}

func excerpt(b []byte) string {
	return door.Clip(string(bytes.ToValidUTF8(b[:min(len(b), door.MaxExcerptBytes)], nil)), door.MaxExcerptBytes)
}
