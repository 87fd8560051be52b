package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// walk visits all values and returns how many scalars there are.
func walk(s *Scanner, depth int) (n int) {
	if depth > 100 {
		s.Value()
		return 0
	}
	switch {
	case s.Take('['):
		for i := 0; s.Item(i); i++ {
			n += walk(s, depth+1)
		}
	case s.Take('{'):
		for i := 0; ; i++ {
			if _, ok := s.Key(i); !ok {
				return n
			}
			n += walk(s, depth+1)
		}
	default:
		if s.Value() != nil {
			n++
		}
	}
	return n
}

func TestScanner(t *testing.T) {
	s := New([]byte(` { "a" : [1, "x\"]", {"b":[ ]}, null] , "\u0063":-1.5e3 } `))
	s.Open('{')
	name, _ := s.Key(0)
	value := s.Value()
	if string(name) != "a" || string(value) != `[1, "x\"]", {"b":[ ]}, null]` {
		t.Errorf("%s: %s", name, value)
	}
	name, _ = s.Key(1)
	if value := s.Value(); string(name) != "c" || string(value) != "-1.5e3" {
		t.Errorf("%s: %s", name, value)
	}
	if _, ok := s.Key(2); ok || s.End() != nil {
		t.Error(s.Err())
	}
	for _, text := range []string{`{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `[1 2]`, `[1,`, `["a]`, `[[1]`, `{"a":1]`, `1 2`, ``, `,`, `{"a":1 "b":2}`} {
		s := New([]byte(text))
		walk(&s, 0)
		if err := s.End(); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestText(t *testing.T) {
	for value, want := range map[string]string{`"a"`: "a", `"\u00e9\n"`: "é\n", `1.5`: "1.5", `true`: "true", `null`: ""} {
		if got, err := Text([]byte(value)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", value, got, err)
		}
	}
	for _, value := range []string{`{"a":1}`, `[1]`, `"a`, `"\x"`} {
		if got, err := Text([]byte(value)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %q %v", value, got, err)
		}
	}
}

// FuzzScanner: any text ends, and what is JSON is read without an error, all of it.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{`[{"a":[1,2,{"b":"c\\"}]},null,-1e5]`, `{"a":`, `"\"`, ` [ ] `, `{}`, "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := New(text)
		walk(&s, 0)
		err := s.End()
		whole := New(text)
		value := whole.Value()
		if json.Valid(text) && strings.Count(string(text), "[")+strings.Count(string(text), "{") < 100 {
			if err != nil || whole.End() != nil || !bytes.Equal(value, bytes.TrimSpace(text)) {
				t.Fatalf("%q: %v, %v, %q", text, err, whole.End(), value)
			}
		}
	})
}
