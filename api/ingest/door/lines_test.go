package door

import (
	"slices"
	"testing"
)

func TestLines(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"\n\r\n\n", nil},
		{"a", []string{"a"}},
		{"a\nb\n", []string{"a", "b"}},
		{"a\r\n\nb\r\n c \r", []string{"a", "b", " c "}},
		{"a\rb\n\r\r\n", []string{"a\rb", "\r"}},
	} {
		var got []string
		for line := range Lines([]byte(c.text)) {
			got = append(got, string(line))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("Lines(%q) = %q, want %q", c.text, got, c.want)
		}
	}
	for line := range Lines([]byte("first\nsecond")) {
		if string(line) != "first" {
			t.Errorf("the line after %q was read", line)
		}
		break
	}
}
