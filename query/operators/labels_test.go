package operators

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// expandTemplate is Regexp.Expand, within a bound.
func TestTemplatesExpandAsRegexpDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	parts := []string{"$", "$$", "$1", "${1}", "${name}", "$name", "$2x", "${2}x", "$0", "$é", "{", "}", "a", "é", " ", "$_", "${", "${1", "\xff", "$\xff", "$12"}
	for range 20_000 {
		var template strings.Builder
		for range r.IntN(8) {
			template.WriteString(parts[r.IntN(len(parts))])
		}
		sameExpansion(t, template.String(), "ab-cd")
	}
}

func FuzzTemplates(f *testing.F) {
	f.Add("$1-${name}$$", "ab-cd")
	f.Add("$$1${$", "é-")
	f.Fuzz(func(t *testing.T, template, v string) { sameExpansion(t, template, v) })
}

var templateRegexp = regexp.MustCompile(`^(?s:(.*?)(?P<name>-?)(.*))$`)

func sameExpansion(t *testing.T, template, v string) {
	at := templateRegexp.FindStringSubmatchIndex(v)
	if at == nil {
		return
	}
	want := string(templateRegexp.ExpandString(nil, template, v, at))
	if got, ok := expandTemplate(templateRegexp, template, v, at, 1<<30); got != want || !ok {
		t.Errorf("%q of %q: %q, want %q", template, v, got, want)
	}
	if n := TemplateLength(template, len(v)); n < len(want) {
		t.Errorf("%q of %q: %d bytes, said to be at most %d", template, v, len(want), n)
	}
	for _, most := range []int{0, 1, len(want) - 1, len(want)} {
		if most < 0 {
			continue
		}
		got, ok := expandTemplate(templateRegexp, template, v, at, most)
		if ok != (len(want) <= most) || ok && got != want || len(got) > most+len(template)+len(v) {
			t.Errorf("%q of %q within %d bytes: %q, %v", template, v, most, got, ok)
		}
	}
}
