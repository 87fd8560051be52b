// Package matchtest makes random regular expressions, and values for them, for
// tests that hold other code to what regexp answers.
package matchtest

import (
	"math/rand/v2"
	"strings"
)

// atoms have what package match has rules for, and what it leaves to regexp.
var atoms = []string{"a", "b", "ab", "foo", "k", "S", "ς", "fi", "ü", "€", "\n", "[ab]", "[^a]", "[a-c]", "[aA]", "[kK]", `[\x{D7FE}-\x{E001}]`,
	".", ".*", ".+", ".?", ".*?", "(?i:A)", "(?i:fi)", "(?i:k)", "(?i:ς)", "(?-s:.)", "(?-s:.*)", "(?m:^)", "(?m:$)", "^", "$", `\b`, `\B`, `\A`, `\z`,
	"\ufffd", "", `\.`, `\|`, `\d`, `\w+`, `\pL`, `(?i:\pL)`, `\Qa.b\E`}

// Expression returns a random expression, which need not be valid.
func Expression(rnd *rand.Rand, depth int) string {
	if depth == 0 {
		return atoms[rnd.IntN(len(atoms))]
	}
	sub := Expression(rnd, depth-1)
	switch rnd.IntN(10) {
	case 0, 1:
		return sub + "|" + Expression(rnd, depth-1)
	case 2:
		return "(" + sub + "|" + Expression(rnd, depth-1) + "|)"
	case 3:
		return "(?:" + sub + ")" + []string{"*", "+", "?", "{1}", "{2}", "{0,2}", "{1,3}", "{0}", "*?"}[rnd.IntN(9)]
	case 4:
		return "(" + sub + ")"
	case 5:
		return "(?i:" + sub + ")"
	case 6:
		return ".*" + sub + ".*"
	default:
		return sub + Expression(rnd, depth-1)
	}
}

// fragments are what values of interest are made of.
var fragments = []string{"a", "b", "A", "B", "c", "foo", "k", "\u212a", "s", "ſ", "ς", "σ", "Σ", "ﬁ", "fi", "FI", "ü", "Ü", "€", "\xe2\x82", "\xff", "\ufffd", "\n", ".", "|", "1", "\ud7ff"}

// Fragment returns one of the short strings that tell expressions apart: letters
// with case and without, runes that fold to one another, runes of several
// bytes, invalid bytes, line feeds.
func Fragment(rnd *rand.Rand) string { return fragments[rnd.IntN(len(fragments))] }

// Value returns up to n fragments.
func Value(rnd *rand.Rand, n int) string {
	var b strings.Builder
	for range rnd.IntN(n + 1) {
		b.WriteString(Fragment(rnd))
	}
	return b.String()
}
