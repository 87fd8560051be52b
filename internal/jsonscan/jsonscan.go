// Package jsonscan finds the values of a JSON text without decoding them. It checks what
// it needs to find them, not the whole grammar: a caller checks the values it uses, and
// what it skips may be malformed within its brackets.
package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrSyntax is returned for what is no JSON.
var ErrSyntax = errors.New("malformed JSON")

// A Scanner reads a text from left to right. After an error it finds nothing more. The
// slices it returns are parts of the text.
type Scanner struct {
	text []byte
	at   int
	err  error
}

// New returns a scanner at the start of a text.
func New(text []byte) Scanner { return Scanner{text: text} }

// Err returns the first error.
func (s *Scanner) Err() error { return s.err }

// At returns the position.
func (s *Scanner) At() int { return s.at }

// Fail sets the error, unless there is one.
func (s *Scanner) Fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w at byte %d: %s", ErrSyntax, s.at, fmt.Sprintf(format, args...))
	}
}

func (s *Scanner) space() {
	for s.at < len(s.text) && s.text[s.at] <= ' ' {
		s.at++
	}
}

// Next returns the next byte that is no blank, 0 at the end.
func (s *Scanner) Next() byte {
	if s.space(); s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// Take skips c, if it is next.
func (s *Scanner) Take(c byte) bool {
	if s.err == nil && s.Next() == c && s.at < len(s.text) {
		s.at++
		return true
	}
	return false
}

// Open skips the bracket that begins an object or an array; another byte is an error.
func (s *Scanner) Open(c byte) bool {
	if s.Take(c) {
		return true
	}
	s.Fail("want %q", c)
	return false
}

// Item goes to item n of the array that was opened, counted from 0. It returns false
// after the last one, behind the bracket.
func (s *Scanner) Item(n int) bool { return s.more(n, ']') }

// Key goes to the value of member n of the object that was opened, and returns its name
// without quotes. It returns false after the last one, behind the bracket.
func (s *Scanner) Key(n int) (name []byte, ok bool) {
	if !s.more(n, '}') {
		return nil, false
	}
	quoted := s.Value()
	if len(quoted) == 0 || quoted[0] != '"' || !s.Take(':') {
		s.Fail("want the name of a member and a colon")
		return nil, false
	}
	name, err := String(quoted)
	if err != nil {
		s.Fail("%v", err)
		return nil, false
	}
	return name, true
}

func (s *Scanner) more(n int, end byte) bool {
	switch {
	case s.Take(end), s.err != nil:
		return false
	case n > 0 && !s.Take(','):
		s.Fail("want ',' or %q", end)
		return false
	}
	return true
}

// Value returns the next value as it is written: a string with its quotes, an object or
// an array with its brackets, or a word. It is nil after an error.
func (s *Scanner) Value() []byte {
	if s.err != nil {
		return nil
	}
	s.space()
	from, depth := s.at, 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			n := closingQuote(s.text[s.at:])
			if n < 0 {
				s.Fail("a string is not closed")
				return nil
			}
			s.at += n
			if depth == 0 {
				return s.text[from:s.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.word(from)
			}
			if depth--; depth == 0 {
				s.at++
				return s.text[from:s.at]
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.word(from)
			}
		}
		s.at++
	}
	if depth > 0 {
		s.Fail("a bracket is not closed")
		return nil
	}
	return s.word(from)
}

func (s *Scanner) word(from int) []byte {
	if s.at == from {
		s.Fail("want a value")
		return nil
	}
	return s.text[from:s.at]
}

// End returns the error, also one for anything but blanks that follows.
func (s *Scanner) End() error {
	if s.Next(); s.err == nil && s.at < len(s.text) {
		s.Fail("%d bytes follow the value", len(s.text)-s.at)
	}
	return s.err
}

// closingQuote returns the position after the string at the start of b, -1 if it is
// not closed.
func closingQuote(b []byte) int {
	for from := 1; ; {
		n := bytes.IndexByte(b[from:], '"')
		if n < 0 {
			return -1
		}
		end := from + n
		slashes := 0
		for end-slashes > from && b[end-slashes-1] == '\\' {
			slashes++
		}
		if from = end + 1; slashes%2 == 0 {
			return from
		}
	}
}

// String returns the content of a string with quotes: a part of it, unless something in
// it is escaped.
func String(quoted []byte) ([]byte, error) {
	if n := len(quoted); n < 2 || quoted[0] != '"' || quoted[n-1] != '"' {
		return nil, fmt.Errorf("%w: want a string in quotes", ErrSyntax)
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return []byte(s), nil
}

// Text returns the content of a string, and of another word the word itself: of what may
// be sent as a string or as a number. It is nil for null.
func Text(value []byte) ([]byte, error) {
	switch {
	case string(value) == "null":
		return nil, nil
	case len(value) > 0 && value[0] == '"':
		return String(value)
	case len(value) > 0 && (value[0] == '{' || value[0] == '['):
		return nil, fmt.Errorf("%w: want a string or a number", ErrSyntax)
	}
	return value, nil
}
