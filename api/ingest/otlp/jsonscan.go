package otlp

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON from left to right. After an error it returns zero values.
type scanner struct {
	src       []byte
	at        int // position of the next byte
	err       error
	unescaped []byte // scratch
}

// fail notes that something else was wanted at the current position.
func (s *scanner) fail(want string) {
	if s.err == nil {
		s.stop(malformedJSON(want, s.at))
	}
}

// stop notes an error.
func (s *scanner) stop(err error) {
	if s.err == nil {
		s.err = err
	}
	s.src = nil
}

// peek returns the next byte after white space, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.src) && s.src[s.at] > ' ' {
		return s.src[s.at]
	}
	return s.peekOn()
}

func (s *scanner) peekOn() byte {
	for s.at < len(s.src) {
		switch c := s.src[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// expect skips a byte.
func (s *scanner) expect(c byte) {
	if s.peek() != c {
		s.fail(fmt.Sprintf("%q", c))
		return
	}
	s.at++
}

// members calls f before each member of an object or list; f reads it.
func (s *scanner) members(begin, end byte, f func()) {
	s.expect(begin)
	if s.err == nil && s.peek() == end {
		s.at++
		return
	}
	for s.err == nil {
		f()
		switch s.peek() {
		case ',':
			s.at++
		case end:
			s.at++
			return
		default:
			s.fail(fmt.Sprintf("',' or %q", end))
		}
	}
}

// literal skips a word, and reports whether it stood there.
func (s *scanner) literal(word string) bool {
	if !bytes.HasPrefix(s.src[min(s.at, len(s.src)):], []byte(word)) {
		return false
	}
	s.at += len(word)
	return true
}

// null skips null, and reports whether it did.
func (s *scanner) null() bool { return s.peek() == 'n' && s.literal("null") }

// boolean reads true or false.
func (s *scanner) boolean() bool {
	s.peek()
	switch {
	case s.literal("true"):
		return true
	case !s.literal("false"):
		s.fail("true or false")
	}
	return false
}

// numeral reads the characters of a number.
func (s *scanner) numeral() []byte {
	if c := s.peek(); c != '-' && (c < '0' || c > '9') {
		s.fail("a number")
		return nil
	}
	from := s.at
	for s.at < len(s.src) {
		switch c := s.src[s.at]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
			s.at++
			continue
		}
		break
	}
	return s.src[from:s.at]
}

// text reads a string. What it returns is valid until the next call.
func (s *scanner) text() []byte {
	if s.peek() != '"' {
		s.fail("a string")
		return nil
	}
	from, i := s.at+1, s.at+1
	for i < len(s.src) && !endsPlain[s.src[i]] {
		i++
	}
	switch s.at = i; {
	case i == len(s.src):
		s.fail("the end of a string")
	case s.src[i] == '"':
		s.at++
		return s.src[from:i]
	case s.src[i] == '\\':
		return s.unescape(from, i)
	default:
		s.fail("no control character in a string")
	}
	return nil
}

// endsPlain has the bytes that do not stand for themselves in a string.
var endsPlain = func() (t [256]bool) {
	for c := range byte(' ') {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// unescape reads the rest of a string that began at from and has an escape at i.
func (s *scanner) unescape(from, i int) []byte {
	out := append(s.unescaped[:0], s.src[from:i]...)
	defer func() { s.unescaped = out }()
	for s.at = i; s.at < len(s.src); {
		c := s.src[s.at]
		s.at++
		switch {
		case c == '"':
			return out
		case c < ' ':
			s.at--
			s.fail("no control character in a string")
			return nil
		case c != '\\':
			out = append(out, c)
			continue
		case s.at == len(s.src):
			continue
		}
		c = s.src[s.at]
		s.at++
		if c == 'u' {
			out = utf8.AppendRune(out, s.escapedRune())
		} else if k := bytes.IndexByte([]byte(`"\/bfnrt`), c); k >= 0 {
			out = append(out, "\"\\/\b\f\n\r\t"[k])
		} else {
			s.at--
			s.fail("an escape")
			return nil
		}
	}
	s.fail("the end of a string")
	return nil
}

// escapedRune reads the digits of \u, and the second half of a surrogate pair. Half a
// pair becomes U+FFFD, as where JavaScript writes UTF-8.
func (s *scanner) escapedRune() rune {
	r := s.hexDigits()
	if !utf16.IsSurrogate(r) || !bytes.HasPrefix(s.src[min(s.at, len(s.src)):], []byte(`\u`)) {
		return r
	}
	at := s.at
	s.at += 2
	if pair := utf16.DecodeRune(r, s.hexDigits()); pair != utf8.RuneError {
		return pair
	}
	s.at = at
	return utf8.RuneError
}

// hexDigits reads four digits.
func (s *scanner) hexDigits() (r rune) {
	for range 4 {
		c := byte(0)
		if s.at < len(s.src) {
			c = s.src[s.at]
		}
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			s.fail("four hexadecimal digits")
			return 0
		}
		r = r<<4 | rune(c)
		s.at++
	}
	return r
}

// skip skips a value at a depth.
func (s *scanner) skip(depth int) {
	if depth > maxJSONDepth {
		s.fail(fmt.Sprintf("at most %d levels", maxJSONDepth))
		return
	}
	switch c := s.peek(); {
	case c == '{':
		s.members('{', '}', func() {
			s.text()
			s.expect(':')
			s.skip(depth + 1)
		})
	case c == '[':
		s.members('[', ']', func() { s.skip(depth + 1) })
	case c == '"':
		s.text()
	case c == 't', c == 'f':
		s.boolean()
	case c == 'n':
		if !s.null() {
			s.fail("a value")
		}
	default:
		s.numeral()
	}
}
