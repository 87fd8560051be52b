package admission

import (
	"cmp"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/strutil"
)

// TextLimits bounds a query's text; 0 = the default. Prometheus' parser, printer and
// evaluator recurse into an expression and take time quadratic in its depth (the
// printer cubic): 50,000 nested parentheses, 100 kB, take 20 s to parse and half a
// gigabyte of stack to evaluate. Long flat texts, such as a regular expression of
// 100 kB, are harmless. So the limit on length is large and the limit on depth is
// small. Operators are limited because a chain of them is as deep as it is long.
type TextLimits struct {
	Bytes     int   // length
	Operators int   // of an expression
	Depth     int   // of nested parentheses
	Memory    int64 // estimated bytes for parsing the text
}

// The defaults of TextLimits.
const (
	DefaultTextBytes     = 1 << 20
	DefaultTextOperators = 5000
	DefaultTextDepth     = 500
	DefaultTextMemory    = 64 << 20
)

// WithDefaults returns the limits with zero values replaced by the defaults.
func (l TextLimits) WithDefaults() TextLimits {
	return TextLimits{
		Bytes:     cmp.Or(l.Bytes, DefaultTextBytes),
		Operators: cmp.Or(l.Operators, DefaultTextOperators),
		Depth:     cmp.Or(l.Depth, DefaultTextDepth),
		Memory:    cmp.Or(l.Memory, DefaultTextMemory),
	}
}

// Complexity is the estimated cost of a text before it is parsed.
type Complexity struct {
	Depth  int   // maximum depth of the expression
	Memory int64 // bytes for parsing, planning and evaluating it, excluding the samples it reads
}

// The memory for the parts of a text in bytes. tokenBytes and levelBytes were
// measured with a chain of operators and a selector with many matchers.
const (
	tokenBytes       = 160     // in the tree and in the plan
	levelBytes       = 4 << 10 // of stack, for each level of depth
	regexpBytes      = 4 << 10 // of an expression of a few characters
	regexpCharBytes  = 128     // of each further character
	regexpClassBytes = 24 << 10
	regexpInstBytes  = 120 // of an instruction of its program and of the machine that runs it
	regexpFoldBytes  = 8   // of a character of a class whose case variants are looked up one by one, several times
)

// Check returns the complexity of a text, or an error if it exceeds a limit. A text
// that is not PromQL is checked up to the first invalid token, where the parser
// stops too.
func (l *TextLimits) Check(input string) (Complexity, error) {
	if len(input) > l.Bytes {
		return Complexity{}, errTextBytes(len(input), l.Bytes)
	}
	var item parser.Item
	var nesting, deepest, operators int
	var braces bool // inside {}, where operators belong to matchers and do not nest
	var regex bool  // the next string is a regular expression
	memory := int64(len(input))
	lex := parser.Lex(input)
	for {
		lex.NextItem(&item)
		memory += tokenBytes
		switch item.Typ {
		case parser.EOF, parser.ERROR:
			c := Complexity{Depth: deepest + operators}
			c.Memory = memory + int64(c.Depth)*levelBytes
			if c.Memory > l.Memory {
				return Complexity{}, NewTextMemoryError(c.Memory, l.Memory)
			}
			return c, nil
		case parser.LEFT_PAREN:
			nesting++
			deepest = max(deepest, nesting)
		case parser.RIGHT_PAREN:
			nesting--
		case parser.LEFT_BRACKET:
			operators++
		case parser.LEFT_BRACE:
			braces = true
		case parser.RIGHT_BRACE:
			braces = false
		case parser.STRING:
			if regex {
				memory += RegexpMemory(unquoted(item.Val))
			}
		default:
			if item.Typ.IsOperator() && !braces {
				operators++
			}
		}
		regex = item.Typ == parser.EQL_REGEX || item.Typ == parser.NEQ_REGEX
		switch {
		case deepest > l.Depth:
			return Complexity{}, errTextDepth(l.Depth)
		case operators > l.Operators:
			return Complexity{}, errTextOperators(l.Operators)
		case memory > l.Memory:
			return Complexity{}, NewTextMemoryError(memory, l.Memory)
		}
	}
}

func unquoted(s string) string {
	if text, err := strutil.Unquote(s); err == nil {
		return text
	}
	return s // the parser reports the error
}

// RegexpMemory estimates the bytes needed to compile a regular expression. It parses
// only expressions with repetitions; for others the estimate follows from their
// length.
func RegexpMemory(text string) int64 {
	n := regexpBytes + regexpCharBytes*int64(len(text))
	n += regexpClassBytes * int64(strings.Count(text, `\p`)+strings.Count(text, `\P`))
	folds := folding.MatchString(text)
	if n > DefaultTextMemory || !folds && !strings.Contains(text, "{") {
		return n
	}
	if folds {
		text = folding.ReplaceAllString(text, "(?${1}s") // without i: the classes created by (?i) are too expensive to count
	}
	re, err := syntax.Parse(text, syntax.Perl|syntax.DotNL)
	if err != nil {
		return n // the parser reports the error
	}
	if folds {
		n += regexpFoldBytes * foldedRunes(re)
	}
	return n + regexpInstBytes*instructions(re)
}

// folding matches a flag group with the case-insensitive flag.
var folding = regexp.MustCompile(`\(\?([a-hj-zA-Z]*)i`)

// foldedRunes returns the number of characters in an expression's classes whose
// case variants are looked up: 130,000 for a class of all letters.
func foldedRunes(re *syntax.Regexp) int64 {
	const first, last = 'A', 0x1e943 // the range of characters with case variants
	n := int64(0)
	if re.Op == syntax.OpCharClass {
		for i := 0; i < len(re.Rune); i += 2 {
			n += int64(max(min(re.Rune[i+1], last)-max(re.Rune[i], first)+1, 0))
		}
	}
	for _, sub := range re.Sub {
		n += foldedRunes(sub)
	}
	return n
}

// instructions estimates the number of instructions in the program of an expression.
func instructions(re *syntax.Regexp) int64 {
	n := int64(1)
	if re.Op == syntax.OpLiteral {
		n = int64(len(re.Rune))
	}
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= int64(max(re.Min, re.Max, 1))
	}
	return n
}
