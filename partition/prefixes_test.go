package partition

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPrefixesOfExpressions(t *testing.T) {
	f := func(expr string, want ...string) {
		t.Helper()
		if got := prefixesOf(expr); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", expr, got, want)
		}
	}
	f("foo-.*|bar-.*", "bar-", "foo-")
	f("foo.*", "foo")
	f("(foo|bar)-[12].*", "bar-1", "bar-2", "foo-1", "foo-2")
	f("(?:foo|foobar).+", "foo")
	f("(a|b)+c", "a", "b")
	f("x{2,3}y", "x")
	f("^a.*|b$", "a", "b")
	f("host-[0-9]{2}", "host-0", "host-1", "host-2", "host-3", "host-4", "host-5", "host-6", "host-7", "host-8", "host-9")
	f("host-[0-9][0-9].*", "host-0", "host-1", "host-2", "host-3", "host-4", "host-5", "host-6", "host-7", "host-8", "host-9")
	f("host-[a-z][0-9].*", "host-a", "host-b", "host-c", "host-d", "host-e", "host-f", "host-g", "host-h", "host-i", "host-j", "host-k",
		"host-l", "host-m", "host-n", "host-o", "host-p", "host-q", "host-r", "host-s", "host-t", "host-u", "host-v", "host-w", "host-x",
		"host-y", "host-z")
	f("a[^x]", "a")
	f("a\ufffd.*")
	f("üb.*", "üb")
	f("foo.*|")
	f(".*foo")
	f("(?i)foo.*")
	f("a?b")
	f("a*b")
	f("(foo|.*)bar")
	f("[")
	f("")
}

// Whatever matches an expression begins with one of its prefixes.
func TestMatchesBeginWithAPrefix(t *testing.T) {
	rnd := newRand(t)
	var expr func(depth int) string
	expr = func(depth int) string {
		if depth == 0 {
			return []string{"a", "b", "ab", "[ab]", "[^a]", ".", "(?i:A)", "ü", "\ufffd", "", "^", "$", `\b`, "[a-c]"}[rnd.IntN(14)]
		}
		switch sub := expr(depth - 1); rnd.IntN(6) {
		case 0:
			return "(" + sub + "|" + expr(depth-1) + ")"
		case 1:
			return "(?:" + sub + ")" + []string{"*", "+", "?", "{1}", "{2}", "{0,2}", "{1,3}"}[rnd.IntN(7)]
		case 2:
			return "(" + sub + ")"
		default:
			return sub + expr(depth-1)
		}
	}
	letters := []string{"a", "b", "c", "A", "ü", "\xff", "\ufffd", "\n"}
	matches, helped := 0, 0
	for range 4000 {
		e := expr(1 + rnd.IntN(4))
		re, err := regexp.Compile("^(?s:" + e + ")$")
		if err != nil {
			continue
		}
		ps := prefixesOf(e)
		if ps == nil {
			continue
		}
		helped++
		for range 40 {
			v := ""
			for range rnd.IntN(5) {
				v += letters[rnd.IntN(len(letters))]
			}
			if re.MatchString(v) {
				matches++
				if !slices.ContainsFunc(ps, func(p string) bool { return strings.HasPrefix(v, p) }) {
					t.Fatalf("%q matches %q, which begins with none of %q", e, v, ps)
				}
			}
		}
	}
	if matches < 500 || helped < 500 {
		t.Errorf("only %d matches of %d expressions", matches, helped)
	}
}
