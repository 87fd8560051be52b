package ingest

import "bytes"

// byteOrderMark begins what some editors and shells write.
var byteOrderMark = []byte("\xef\xbb\xbf")

// lineReader cuts a body into lines. A line ends at a newline outside quotes
// that no backslash escapes; quotes mean something only in the value of a
// field. A comment ends at any newline.
type lineReader struct {
	src []byte // what is still to be read
	// A string was never closed. It costs its own line, and from then on
	// strings end with their line: looking for the end of each of them in the
	// whole body would take time that grows with the square of its size.
	unclosed bool
}

// newLineReader reads b, without a byte-order mark before it.
func newLineReader(b []byte) lineReader {
	return lineReader{src: bytes.TrimPrefix(b, byteOrderMark)}
}

// next returns a line without its end; ok is false at the end of the body.
func (r *lineReader) next() (line []byte, ok bool) {
	if len(r.src) == 0 {
		return nil, false
	}
	end := bytes.IndexByte(r.src, '\n')
	if end < 0 {
		end = len(r.src)
	} else if first := r.src[:end]; (end > 0 && first[end-1] == '\\' || bytes.IndexByte(first, '"') >= 0) && !isComment(first) {
		end = r.lineEnd()
	}
	line = r.src[:end]
	r.src = r.src[min(end+1, len(r.src)):]
	return line, true
}

func isComment(line []byte) bool {
	line = trimBlanks(line)
	return len(line) > 0 && line[0] == '#'
}

// lineEnd returns the end of a line that has quotes or an escaped newline.
func (r *lineReader) lineEnd() int {
	b := r.src
	i := len(b) - len(trimBlanks(b))
	inFields, quoted := false, false
	equals, commas := 0, 0
	first := -1 // newline in a string that may turn out not to be closed
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && i+2 < len(b):
			i++ // a newline, too, unless nothing follows it
		case c == '\n' && (!quoted || r.unclosed):
			return i
		case c == '\n' && first < 0:
			first = i
		case quoted:
			quoted = c != '"'
		case c == ' ':
			inFields = true
		case inFields && c == '=':
			equals++
		case inFields && c == ',':
			commas++
		case c == '"' && inFields && equals > commas:
			quoted = true
		}
	}
	if quoted && first >= 0 {
		r.unclosed = true
		return first
	}
	return len(b)
}
