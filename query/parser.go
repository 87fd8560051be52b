package query

import (
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	labelmatch "tsdb/internal/match"
	"tsdb/query/admission"
)

// maxPretty is the maximum complexity, operators plus nesting, of expressions that
// are formatted over several lines.
const maxPretty = 300

// Parser is Prometheus' parser with limits on its input. It is safe for concurrent
// use.
type Parser struct {
	parser.Parser
	limits  admission.TextLimits
	memory  *admission.Memory // of an engine's queries; includes texts while they are parsed; nil = none
	refused func(error)       // called with the error of a text over a limit; nil = not called
}

// NewParser returns a parser.
func NewParser(o parser.Options, l admission.TextLimits) *Parser {
	return &Parser{Parser: parser.NewParser(o), limits: l.WithDefaults()}
}

// admit checks texts about to be parsed and reserves the memory for parsing. The
// caller releases it by closing held.
func (p *Parser) admit(inputs ...string) (deepest admission.Complexity, held *admission.Tracker, err error) {
	defer func() {
		if err != nil && p.refused != nil {
			p.refused(err)
		}
	}()
	for _, s := range inputs {
		text, err := p.limits.Check(s)
		if err != nil {
			return admission.Complexity{}, nil, err
		}
		deepest.Depth = max(deepest.Depth, text.Depth)
		if deepest.Memory += text.Memory; deepest.Memory > p.limits.Memory {
			return admission.Complexity{}, nil, admission.NewTextMemoryError(deepest.Memory, p.limits.Memory)
		}
	}
	if p.memory != nil {
		held = p.memory.NewTracker(admission.Limits{})
	}
	return deepest, held, held.Reserve(deepest.Memory)
}

// ParseExpr parses an expression.
func (p *Parser) ParseExpr(input string) (parser.Expr, error) {
	_, held, err := p.admit(input)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	expr, err := p.Parser.ParseExpr(input)
	return expr, nameSetting(err)
}

// nameSetting adds the setting that enables experimental features to the errors
// about disabled ones.
func nameSetting(err error) error {
	var all parser.ParseErrors
	if !errors.As(err, &all) {
		return admission.ClipError(err)
	}
	all = slices.Clone(all)
	for i := range all {
		text := all[i].Err.Error()
		all[i].Err = admission.ClipError(all[i].Err) // it quotes the query
		if feature, _, ok := strings.Cut(text, " and must be enabled with --enable-feature="); ok {
			text = feature + " and not enabled"
		}
		if strings.HasSuffix(text, " not enabled") {
			all[i].Err = errors.New(text + ": --query.experimental enables it")
		}
	}
	return all
}

// ParseMetricSelector parses a selector such as up{job="a"}.
func (p *Parser) ParseMetricSelector(input string) ([]*labels.Matcher, error) {
	_, held, err := p.admit(input)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	ms, err := p.Parser.ParseMetricSelector(input)
	return ms, nameSetting(err)
}

// ParseMetricSelectors parses several selectors. Together they are limited to the
// memory of one text.
func (p *Parser) ParseMetricSelectors(inputs []string) ([][]*labels.Matcher, error) {
	_, held, err := p.admit(inputs...)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	sets := make([][]*labels.Matcher, 0, len(inputs))
	for _, s := range inputs {
		ms, err := p.Parser.ParseMetricSelector(s)
		if err != nil {
			return nil, nameSetting(err)
		}
		sets = append(sets, ms)
	}
	return sets, nil
}

// Selective reports whether any matcher excludes series that lack its label. A
// selector without such a matcher would select all series.
func Selective(ms []*labels.Matcher) bool {
	compiled, err := labelmatch.Compiled(ms)
	return err == nil && slices.ContainsFunc(compiled, func(m *labelmatch.Matcher) bool { return !m.Matches("") })
}

// Format parses an expression and prints it over several lines, or on one line if it
// exceeds maxPretty.
func (p *Parser) Format(input string) (string, error) {
	text, held, err := p.admit(input)
	if err != nil {
		return "", err
	}
	defer held.Close()
	expr, err := p.Parser.ParseExpr(input)
	if err != nil {
		return "", nameSetting(err)
	}
	if text.Depth > maxPretty {
		return expr.String(), nil
	}
	return expr.Pretty(0), nil
}
