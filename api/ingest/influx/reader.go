package influx

import "bytes"

// byteOrderMark is written at the start of files by some editors and shells.
var byteOrderMark = []byte("\xef\xbb\xbf")

// lineReader splits a body into lines. A line ends at a newline that is neither
// quoted nor escaped by a backslash. Quotes are special only in the value of a
// field. A comment ends at any newline.
type lineReader struct {
	src []byte // unread bytes
	// unclosed is set once a string is not closed. That line is bad, and
	// strings in the following lines end with their line: searching the rest of
	// the body for the end of each would take quadratic time.
	unclosed bool
}

// newLineReader returns a reader of b without its byte-order mark.
func newLineReader(b []byte) lineReader {
	return lineReader{src: bytes.TrimPrefix(b, byteOrderMark)}
}

// next returns the next line without its newline; ok is false at the end.
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

// WholeLines returns the length of the lines at the start of b whose ends are certain,
// whatever follows b.
func WholeLines(b []byte) int {
	end := bytes.LastIndexByte(b, '\n') + 1
	if end == 0 || bytes.IndexByte(b, '"') < 0 && !bytes.Contains(b, []byte("\\\n")) {
		return end
	}
	lines := lineReader{src: b}
	for whole := 0; ; {
		line, ok := lines.next()
		read := len(b) - len(lines.src)
		escaped := len(line) - len(bytes.TrimRight(line, "\\"))
		if !ok || lines.unclosed || whole+len(line) == read || read == len(b) && escaped%2 == 1 {
			return whole
		}
		whole = read
	}
}

func isComment(line []byte) bool {
	line = trimBlanks(line)
	return len(line) > 0 && line[0] == '#'
}

// lineEnd returns the end of a line with quotes or an escaped newline.
func (r *lineReader) lineEnd() int {
	b := r.src
	i := len(b) - len(trimBlanks(b))
	inFields, quoted := false, false
	equals, commas := 0, 0
	first := -1 // first newline inside a string, the end of the line if the string is not closed
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && i+2 < len(b):
			i++ // also a newline, unless it ends the body
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
