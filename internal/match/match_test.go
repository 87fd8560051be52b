package match

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match/matchtest"
)

// compile returns the matcher of label v.
func compile(t testing.TB, typ labels.MatchType, text string) *Matcher {
	t.Helper()
	m, err := labels.NewMatcher(typ, "v", text)
	if err != nil {
		t.Fatal(err)
	}
	ms, err := Compiled([]*labels.Matcher{m})
	if err != nil {
		t.Fatal(err)
	}
	return ms[0]
}

// Expressions on which Prometheus' own matchers, or ours, once differed from
// RE2.
func TestMatchersAnswerAsRE2Does(t *testing.T) {
	values := []string{"", "a", "A", "b", "B", "c", "ab", "foo", "FOO", "|foo-bar|", "xfoobarx", "foobar", "foo-bar", "fi", "ﬁ", "FI", "x", "X",
		"k", "K", "\u212a", "s", "S", "ſ", "σ", "ς", "Σ", "a\nb", "\n", "a\n", "\xff", "\ufffd", "\xe2\x82", "€", "a€b", "\xe2a", "é", "e\u0301", "ﬀ", "ff", "İ", "i", "ı", "I",
		"ß", "ss", "ẞ", "a.b", "axb", "1", "12"}
	for _, text := range []string{
		"[aA]|B", "(?i:a)|b", ".*(foo)bar.*", "(?i)(fi|x)", "(?i)k", "(?i)s", "(?i)σ", "(?i)ς", "(?i)ﬁ", "(?i)(ς|x)", "(?i)i", "(?i)ß", "(?i)ff|x",
		"(?i).*fi.*", "(?i)fi.*", "(?i).*fi", "(?i)k.*", "(?i).*s", "a|", "|", "", "()", "(a|b|)", "a||b", ".*", ".+", ".", "..", ".?", ".*.+", ".+.+", ".+.*a",
		"(?-s).*", "(?-s).+", "(?-s:.)", "(?s).", "^a$", "a^b", "a$b", "^a|b$", "(^a|b)$", "a(?m)$", "(?m)^a$", "(?m)a$\n^b", "(?m).*$", `\ba\b`, `\Ba`, `a\z`, `\Aa`,
		"\ufffd", ".*\ufffd.*", "[\ufffda]", `[\x{D7FF}-\x{E000}]`, `\x{D800}`, `a\.b`, `a\.b|c`, "a.b", `(a\.b|c)`, `\Qa.b\E`, "[a-c]", "[^a]", "[^\x00-\\x{10FFFF}]", "a{2}", "a{0}", "(a|b){1}",
		"(?i:a)b", "a(?i:B)", ".*a.*", ".*a.*b.*", "a.*b", "a.+b", ".+€.+", ".*[ab].*", ".*(a|b)", "(a|b).*", "(foo|fo).*", "(?U).*a", ".*?a", "f(oo|x)?-?(bar)?", `\d+`, `\d{1,2}`, `[[:alpha:]]+`, `\pL`, `(?i)\pL`, `(?i)[k]`, `(?i)[^k]`,
	} {
		re := regexp.MustCompile("^(?s:" + text + ")$")
		is, not := compile(t, labels.MatchRegexp, text), compile(t, labels.MatchNotRegexp, text)
		for _, v := range values {
			checkValue(t, is, re, v)
			if not.Matches(v) == is.Matches(v) {
				t.Errorf("%q and its negation agree on %q", text, v)
			}
		}
	}
}

// checkValue compares all results of a positive matcher for a value with regexp.
func checkValue(t testing.TB, m *Matcher, re *regexp.Regexp, v string) {
	t.Helper()
	want := re.MatchString(v)
	if got := m.Matches(v); got != want {
		t.Fatalf("%q matches %q: %v, want %v", m.Value, v, got, want)
	}
	if m.IsListed() && slices.Contains(m.Listed(), v) != want {
		t.Fatalf("%q lists %q; %q is in it or not, want %v", m.Value, m.Listed(), v, want)
	}
	if ps := m.Prefixes(); ps != nil && want && !slices.ContainsFunc(ps, func(p string) bool { return strings.HasPrefix(v, p) }) {
		t.Fatalf("%q matches %q, which begins with none of %q", m.Value, v, ps)
	}
	if m.Any() && v != "" && !want {
		t.Fatalf("%q is said to match any value, but does not match %q", m.Value, v)
	}
}

func TestPlainMatchersCompareValues(t *testing.T) {
	eq, ne := compile(t, labels.MatchEqual, "a.b"), compile(t, labels.MatchNotEqual, "a.b")
	for _, v := range []string{"", "a.b", "axb"} {
		if eq.Matches(v) != (v == "a.b") || ne.Matches(v) != (v != "a.b") {
			t.Errorf("= %v, != %v for %q", eq.Matches(v), ne.Matches(v), v)
		}
	}
	if eq.Negative() || !ne.Negative() || eq.String() != `v="a.b"` || ne.String() != `v!="a.b"` {
		t.Errorf("%v %v, %v %v", eq, eq.Negative(), ne, ne.Negative())
	}
	ls := labels.FromStrings("v", "a.b")
	if !All([]*Matcher{eq}, ls) || All([]*Matcher{eq, ne}, ls) || !All(nil, ls) {
		t.Error("All is not all")
	}
}

// Selections are fast because of listed values and prefixes, so the contract states
// which expressions have them.
func TestValuesAndPrefixesOfExpressions(t *testing.T) {
	lists := func(text string, want ...string) {
		t.Helper()
		m := compile(t, labels.MatchRegexp, text)
		if !m.IsListed() || !slices.Equal(m.Listed(), want) {
			t.Errorf("%q lists %q, %v, want %q", text, m.Listed(), m.IsListed(), want)
		}
	}
	lists("a", "a")
	lists("", "")
	lists("b|a|b", "a", "b")
	lists("(b|a)", "a", "b")
	lists(`a\.b|a\-c`, "a-c", "a.b")
	lists(`(a\.b|c)`, "a.b", "c")
	lists("^(a|b)$", "a", "b")
	lists("^a|b$", "a", "b")
	lists("foo-(1|2)", "foo-1", "foo-2")
	lists("x[0-2]y?", "x0", "x0y", "x1", "x1y", "x2", "x2y")
	lists("(?i)k1", "K1", "k1", "\u212a1")
	lists("\xff|a", "a", "\xff")

	begins := func(text string, want ...string) {
		t.Helper()
		if got := compile(t, labels.MatchRegexp, text).Prefixes(); !slices.Equal(got, want) {
			t.Errorf("%q begins with %q, want %q", text, got, want)
		}
	}
	begins("foo-.*|bar-.*", "bar-", "foo-")
	begins("foo.*", "foo")
	begins("(foo|bar)-[12].*", "bar-1", "bar-2", "foo-1", "foo-2")
	begins("(?:foo|foobar).+", "foo")
	begins("(a|b)+c", "a", "b")
	begins("x{2,3}y", "x")
	begins("^a.*|b$", "a", "b")
	begins("host-[0-2]{2}", "host-0", "host-1", "host-2")
	begins(`foo\b-x.*`, "foo-x")
	begins("a[^x]", "a")
	begins("a\ufffd.*")
	begins("üb.*", "üb")
	begins("(?i)ab.*", "AB", "Ab", "aB", "ab")
	begins("foo.*|")
	begins(".*foo")
	begins("a?b", "ab", "b")
	begins("a*b")
	begins("(foo|.*)bar")
}

func TestExpressionsDecidedWithoutRegexp(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		if got := compile(t, labels.MatchRegexp, text).Cheap(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"a", "a|b", "(a|b)", "a.*", ".*a", ".+a", ".*a.*", ".*(a|b).*", ".*a.*|.*b.*", "a.*b.+c", "^a.*$", "(?i)ab", "[ab]c.*"} {
		f(text, true)
	}
	for _, text := range []string{"a.b", "[0-9]+", `\w+`, "(?-s).*", "a{3}", `\ba`, "[^a]", "(ab)*"} {
		f(text, false)
	}
	var parts []string
	for i := range 9000 {
		parts = append(parts, fmt.Sprintf(`ns-%d/pod\.%06d`, i%7, i))
	}
	for _, text := range []string{strings.Join(parts, "|"), "(" + strings.Join(parts, "|") + ")", "^(?:" + strings.Join(parts, "|") + ")$"} {
		m := compile(t, labels.MatchRegexp, text)
		if !m.IsListed() || len(m.Listed()) != 9000 || m.Values() != 9000 || !m.Matches("ns-0/pod.000007") || m.Matches("ns-0/pod-000007") {
			t.Errorf("%d of 9000 values are listed: %v", m.Values(), m.IsListed())
		}
	}
	long := strings.Repeat("ns-k", 20)
	for _, text := range []string{"(?i)" + long, "(?i:" + long + ")", "^((?i)" + long + ")$"} {
		m := compile(t, labels.MatchRegexp, text)
		if m.IsListed() || !m.Matches(strings.ToUpper(long)) || !m.Matches(strings.ReplaceAll(long, "k", "\u212a")) || m.Matches(long[1:]) || m.Prefixes() == nil {
			t.Errorf("%q: %q", text, m.Prefixes())
		}
	}
	// An expression whose shapes are far larger than its text is left to regexp.
	m := compile(t, labels.MatchRegexp, strings.Repeat("(a|b|c)", 40))
	if m.Cheap() || !m.Matches(strings.Repeat("abca", 10)) || m.Matches(strings.Repeat("abcd", 10)) {
		t.Error("a product of 3^40 shapes")
	}
}

// TestRandomExpressionsAgreeWithRE2 generates expressions from all syntax with a rule
// of its own, and values that are likely to match: random ones, and values of the
// expression's shapes with characters inserted, removed and replaced.
func TestRandomExpressionsAgreeWithRE2(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 8))
	matched, exact, refused := 0, 0, 0
	for range 6000 {
		text := matchtest.Expression(rnd, 1+rnd.IntN(4))
		re, err := regexp.Compile("^(?s:" + text + ")$")
		if err != nil {
			continue
		}
		lm, err := labels.NewMatcher(labels.MatchRegexp, "v", text)
		if err != nil {
			continue
		}
		ms, err := Compiled([]*labels.Matcher{lm})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		m := ms[0]
		if m.Cheap() {
			exact++
		}
		for range 20 {
			v := randomValue(rnd, m)
			checkValue(t, m, re, v)
			if re.MatchString(v) {
				matched++
			} else {
				refused++
			}
		}
	}
	if matched < 10_000 || refused < 10_000 || exact < 1000 {
		t.Errorf("%d values matched, %d did not, %d expressions were exact", matched, refused, exact)
	}
}

func FuzzMatchersAnswerAsRE2Does(f *testing.F) {
	for _, s := range []string{"[aA]|B", "(?i:a)|b", ".*(foo)bar.*", "(?i)(fi|ς|x)", "a.*b|", "^a|b$", `a\.b|c`, "\ufffd", "(?m)^a$"} {
		f.Add(s, "a", uint64(1))
	}
	f.Fuzz(func(t *testing.T, text, value string, seed uint64) {
		if len(text) > 200 || len(value) > 200 {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		for _, text := range []string{text, matchtest.Expression(rnd, 1+rnd.IntN(4))} {
			lm, err := labels.NewMatcher(labels.MatchRegexp, "v", text)
			if err != nil {
				continue
			}
			ms, err := Compiled([]*labels.Matcher{lm})
			if err != nil {
				continue
			}
			re, err := regexp.Compile("^(?s:" + text + ")$")
			if err != nil { // a literal that is not UTF-8
				if ms[0].Matches(value) != slices.Contains(strings.Split(text, "|"), value) {
					t.Fatalf("%q on %q", text, value)
				}
				continue
			}
			checkValue(t, ms[0], re, value)
			for range 5 {
				checkValue(t, ms[0], re, randomValue(rnd, ms[0]))
			}
		}
	})
}

// randomValue returns a value that is likely to match m, or nearly so.
func randomValue(rnd *rand.Rand, m *Matcher) string {
	var b strings.Builder
	if shapes := append(literalShapes(m.expr().values), m.expr().globs...); len(shapes) > 0 && rnd.IntN(4) > 0 {
		s := shapes[rnd.IntN(len(shapes))]
		for i, l := range s.literals {
			if i > 0 {
				for range s.gaps[i-1] - 1 + rnd.IntN(3) {
					b.WriteString(matchtest.Fragment(rnd))
				}
			}
			if rnd.IntN(8) > 0 {
				b.WriteString(l)
			}
		}
	} else {
		for range rnd.IntN(4) {
			b.WriteString(matchtest.Fragment(rnd))
		}
	}
	v := b.String()
	if rnd.IntN(4) == 0 && v != "" {
		at := rnd.IntN(len(v))
		v = v[:at] + matchtest.Fragment(rnd) + v[at+rnd.IntN(2):]
	}
	return v
}
