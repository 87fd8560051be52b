package query

import (
	"regexp/syntax"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/strutil"
)

// complexity is what is known of a text before it is parsed.
type complexity struct {
	depth  int   // how deep the expression can be
	memory int64 // bytes that parsing, planning and evaluating it take besides what it reads
}

// The memory of the parts of a text. That of tokens and levels is what a chain of
// operators, and a selector of many matchers, were seen to take.
const (
	tokenBytes       = 160     // in the tree and in the plan
	levelBytes       = 4 << 10 // of stack, a level of depth
	regexpBytes      = 4 << 10 // of an expression of a few characters
	regexpCharBytes  = 128     // of each character more
	regexpClassBytes = 24 << 10
	regexpInstBytes  = 120 // of an instruction of its program, and of the machine that runs it
)

// check returns the complexity of a text, or an error if it exceeds a bound. A
// text that is no PromQL is judged as far as it can be read; the parser reads no
// further.
func (l *TextLimits) check(input string) (complexity, error) {
	if len(input) > l.Bytes {
		return complexity{}, errTextBytes(len(input), l.Bytes)
	}
	var item parser.Item
	var nesting, deepest, operators int
	var braces bool // inside {}, where operators are those of matchers and lie flat
	var regex bool  // the next string is a regular expression
	memory := int64(len(input))
	lex := parser.Lex(input)
	for {
		lex.NextItem(&item)
		memory += tokenBytes
		switch item.Typ {
		case parser.EOF, parser.ERROR:
			c := complexity{depth: deepest + operators}
			c.memory = memory + int64(c.depth)*levelBytes
			if c.memory > l.Memory {
				return complexity{}, errTextMemory(c.memory, l.Memory)
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
				memory += regexpMemory(unquoted(item.Val))
			}
		default:
			if item.Typ.IsOperator() && !braces {
				operators++
			}
		}
		regex = item.Typ == parser.EQL_REGEX || item.Typ == parser.NEQ_REGEX
		switch {
		case deepest > l.Depth:
			return complexity{}, errTextDepth(l.Depth)
		case operators > l.Operators:
			return complexity{}, errTextOperators(l.Operators)
		case memory > l.Memory:
			return complexity{}, errTextMemory(memory, l.Memory)
		}
	}
}

func unquoted(s string) string {
	if text, err := strutil.Unquote(s); err == nil {
		return text
	}
	return s // the parser will say so
}

// regexpMemory estimates the bytes that a regular expression takes when it is
// compiled. Only one that repeats parts of itself is parsed for that: all others
// take what their length says.
func regexpMemory(text string) int64 {
	n := regexpBytes + regexpCharBytes*int64(len(text))
	n += regexpClassBytes * int64(strings.Count(text, `\p`)+strings.Count(text, `\P`))
	if n > DefaultTextMemory || !strings.Contains(text, "{") {
		return n
	}
	re, err := syntax.Parse(text, syntax.Perl|syntax.DotNL)
	if err != nil {
		return n // as the parser will say
	}
	return n + regexpInstBytes*instructions(re)
}

// instructions estimates how many instructions the program of an expression has.
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
