package partition

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// prefixesMax bounds the beginnings that are told apart.
const prefixesMax = 32

// prefixesOf returns the beginnings, sorted, none of which begins another, that
// a value must have one of to match a regular expression as a whole. It returns
// nil if that is no help: a value may begin with anything.
func prefixesOf(expr string) []string {
	re, err := syntax.Parse(expr, syntax.Perl|syntax.DotNL)
	if err != nil {
		return nil
	}
	all, _ := beginnings(re)
	slices.Sort(all)
	var ps []string
	for _, p := range all {
		if p == "" {
			return nil
		}
		if len(ps) == 0 || !strings.HasPrefix(p, ps[len(ps)-1]) {
			ps = append(ps, p)
		}
	}
	return ps
}

// beginnings returns what matches begin with, at most prefixesMax of them; whole
// says that matches are that and nothing more. Duplicates are possible.
func beginnings(re *syntax.Regexp) (ps []string, whole bool) {
	switch re.Op {
	case syntax.OpLiteral:
		// U+FFFD stands for bytes that are no UTF-8, too.
		if re.Flags&syntax.FoldCase == 0 && !slices.Contains(re.Rune, utf8.RuneError) {
			return []string{string(re.Rune)}, true
		}
	case syntax.OpCharClass:
		return members(re.Rune)
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}, true
	case syntax.OpCapture:
		return beginnings(re.Sub[0])
	case syntax.OpPlus:
		ps, _ = beginnings(re.Sub[0])
		return ps, false
	case syntax.OpRepeat:
		if re.Min > 0 {
			ps, whole = beginnings(re.Sub[0])
			return ps, whole && re.Min == 1 && re.Max == 1
		}
	case syntax.OpAlternate:
		whole = true
		for _, sub := range re.Sub {
			more, all := beginnings(sub)
			if ps, whole = append(ps, more...), whole && all; len(ps) > prefixesMax {
				return []string{""}, false
			}
		}
		return ps, whole
	case syntax.OpConcat:
		ps, whole = []string{""}, true
		for _, sub := range re.Sub {
			more, all := beginnings(sub)
			if len(ps)*len(more) > prefixesMax {
				return ps, false
			}
			ps, whole = products(ps, more), all
			if !whole {
				break
			}
		}
		return ps, whole
	}
	return []string{""}, false
}

// members returns the runes of a class, which is made of pairs of a first and a
// last rune.
func members(class []rune) (ps []string, whole bool) {
	for i := 0; i+1 < len(class); i += 2 {
		if n := int(class[i+1]) - int(class[i]) + 1; n > prefixesMax-len(ps) || class[i] <= utf8.RuneError && utf8.RuneError <= class[i+1] {
			return []string{""}, false
		}
		for c := class[i]; c <= class[i+1]; c++ {
			ps = append(ps, string(c))
		}
	}
	return ps, true
}

// products returns every a followed by every b.
func products(as, bs []string) []string {
	all := make([]string, 0, len(as)*len(bs))
	for _, a := range as {
		for _, b := range bs {
			all = append(all, a+b)
		}
	}
	return all
}
