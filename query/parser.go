package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	labelmatch "tsdb/internal/match"
)

// Bounds of a query's text. Prometheus' parser, printer and evaluator recurse
// into an expression and take time quadratic in its depth (the printer cubic):
// 50,000 nested parentheses, 100 kB, take 20 s to parse and half a gigabyte of
// stack to evaluate. Long flat texts, such as a regular expression of 100 kB,
// are no trouble. So the length may be large, the depth may not; operators
// count because a chain of them is as deep as it is long.
const (
	MaxQueryBytes = 256 << 10
	MaxNesting    = 256
	MaxOperators  = 2000

	// maxPretty bounds what is laid out over several lines, in operators
	// and nesting together.
	maxPretty = 300
)

// Parser is Prometheus' parser behind the bounds. It is safe for concurrent
// use.
type Parser struct{ parser.Parser }

// NewParser returns a parser.
func NewParser(o parser.Options) *Parser { return &Parser{parser.NewParser(o)} }

// ParseExpr parses an expression.
func (p *Parser) ParseExpr(input string) (parser.Expr, error) {
	if _, err := complexity(input); err != nil {
		return nil, err
	}
	expr, err := p.Parser.ParseExpr(input)
	return expr, nameSetting(err)
}

// nameSetting makes the errors of what is experimental and off name the setting
// that switches it on.
func nameSetting(err error) error {
	var all parser.ParseErrors
	if !errors.As(err, &all) {
		return err
	}
	all = slices.Clone(all)
	for i := range all {
		text := all[i].Err.Error()
		if what, _, ok := strings.Cut(text, " and must be enabled with --enable-feature="); ok {
			text = what + " and not enabled"
		}
		if strings.HasSuffix(text, " not enabled") {
			all[i].Err = errors.New(text + ": --query.experimental enables it")
		}
	}
	return all
}

// ParseMetricSelector parses a selector such as up{job="a"}.
func (p *Parser) ParseMetricSelector(input string) ([]*labels.Matcher, error) {
	if _, err := complexity(input); err != nil {
		return nil, err
	}
	return p.Parser.ParseMetricSelector(input)
}

// ParseMetricSelectors parses several selectors.
func (p *Parser) ParseMetricSelectors(inputs []string) ([][]*labels.Matcher, error) {
	sets := make([][]*labels.Matcher, 0, len(inputs))
	for _, s := range inputs {
		ms, err := p.ParseMetricSelector(s)
		if err != nil {
			return nil, err
		}
		sets = append(sets, ms)
	}
	return sets, nil
}

// Selective reports whether there is a matcher that not every series passes:
// without one a selector would name all of them.
func Selective(ms []*labels.Matcher) bool {
	compiled, err := labelmatch.Compiled(ms)
	return err == nil && slices.ContainsFunc(compiled, func(m *labelmatch.Matcher) bool { return !m.Matches("") })
}

// Format parses an expression and prints it over several lines, or on one if
// it is too deep for that.
func (p *Parser) Format(input string) (string, error) {
	n, err := complexity(input)
	if err != nil {
		return "", err
	}
	expr, err := p.Parser.ParseExpr(input)
	if err != nil {
		return "", nameSetting(err)
	}
	if n > maxPretty {
		return expr.String(), nil
	}
	return expr.Pretty(0), nil
}

// complexity returns a measure of how deep the expression can be, or an error
// if the text exceeds a bound. A text that is no PromQL is judged as far as it
// can be read; the parser reads no further.
func complexity(input string) (int, error) {
	if len(input) > MaxQueryBytes {
		return 0, fmt.Errorf("query of %d bytes, the limit is %d", len(input), MaxQueryBytes)
	}
	var item parser.Item
	var nesting, deepest, operators int
	var braces bool // inside {}, where operators are those of matchers and lie flat
	lex := parser.Lex(input)
	for {
		lex.NextItem(&item)
		switch item.Typ {
		case parser.EOF, parser.ERROR:
			return deepest + operators, nil
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
		default:
			if item.Typ.IsOperator() && !braces {
				operators++
			}
		}
		switch {
		case deepest > MaxNesting:
			return 0, fmt.Errorf("query is nested more than %d levels deep", MaxNesting)
		case operators > MaxOperators:
			return 0, fmt.Errorf("query has more than %d operators", MaxOperators)
		}
	}
}
