package influx

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
)

// condition is a WHERE clause or a predicate, a conjunction: on tags, on measurement
// and field (the names _measurement and _field of predicates), and on the time.
type condition struct {
	measurement, field string // "" = any
	tags               []*labels.Matcher
	times              model.TimeRange
	hasTime            bool
}

// tokenKind is the kind of a token.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // an identifier, a keyword or a number
	tokenQuoted           // "…"
	tokenString           // '…'
	tokenRegexp           // /…/, after =~ and !~ only
	tokenSign             // an operator, a bracket, a comma
)

type token struct {
	kind tokenKind
	text string // without quotes
}

// conditionParser reads tokens from a text.
type conditionParser struct {
	rest string
	now  time.Time
}

var errQuote = errors.New("a quote is not closed")

// next returns the next token. re allows a regular expression.
func (p *conditionParser) next(re bool) (token, error) {
	s := strings.TrimLeft(p.rest, " \t\r\n")
	if s == "" {
		p.rest = s
		return token{}, nil
	}
	switch c := s[0]; {
	case c == '"' || c == '\'' || c == '/' && re:
		var text strings.Builder
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == c:
				p.rest = s[i+1:]
				return token{map[byte]tokenKind{'"': tokenQuoted, '\'': tokenString, '/': tokenRegexp}[c], text.String()}, nil
			case s[i] == '\\' && i+1 < len(s) && (s[i+1] == c || s[i+1] == '\\' && c != '/'):
				i++
			}
			text.WriteByte(s[i])
		}
		return token{}, errQuote
	case strings.IndexByte("=!<>(),-+*", c) >= 0:
		n := 1
		if len(s) > 1 && (strings.Contains("=~ !~ != <> <= >=", s[:2]) && s[1] != ' ') {
			n = 2
		}
		p.rest = s[n:]
		return token{tokenSign, s[:n]}, nil
	}
	n := strings.IndexAny(s, " \t\r\n\"'=!<>(),+-*")
	if n < 0 {
		n = len(s)
	}
	p.rest = s[n:]
	return token{tokenWord, s[:n]}, nil
}

// peek returns the next token and leaves it.
func (p *conditionParser) peek() (token, error) {
	was := p.rest
	t, err := p.next(false)
	p.rest = was
	return t, err
}

// isKeyword reports whether a token is a keyword.
func (t token) isKeyword(word string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.text, word)
}

func (t token) describe() string {
	if t.kind == tokenEnd {
		return "the end"
	}
	return strconv.Quote(door.Clip(t.text, 60))
}

// parseCondition parses conditions joined by AND, up to the end of the text. In a
// predicate of InfluxDB 2 a value may be in double quotes.
func parseCondition(text string, now time.Time) (*condition, error) {
	p := &conditionParser{rest: text, now: now}
	c := &condition{times: model.AllTime}
	depth := 0
	for {
		t, err := p.next(false)
		if err != nil {
			return nil, err
		}
		if t == (token{tokenSign, "("}) {
			depth++
			continue
		}
		if err := p.comparison(c, t); err != nil {
			return nil, err
		}
		for {
			if t, err = p.next(false); err != nil {
				return nil, err
			}
			if t != (token{tokenSign, ")"}) {
				break
			}
			depth--
		}
		switch {
		case depth < 0, t.kind == tokenEnd && depth != 0:
			return nil, errors.New("brackets are not balanced")
		case t.kind == tokenEnd:
			return c, nil
		case t.isKeyword("or"):
			return nil, errors.New("OR is not supported: delete in several steps")
		case !t.isKeyword("and"):
			return nil, fmt.Errorf("found %s, expected AND", t.describe())
		}
	}
}

// comparison parses one comparison, which begins with the token name.
func (p *conditionParser) comparison(c *condition, name token) error {
	if name.kind != tokenWord && name.kind != tokenQuoted || name.text == "" {
		return fmt.Errorf("found %s, expected the name of a tag", name.describe())
	}
	op, err := p.next(false)
	if err != nil {
		return err
	}
	if op.kind != tokenSign {
		return fmt.Errorf("found %s after %s, expected an operator", op.describe(), name.describe())
	}
	if name.isKeyword("time") {
		return p.time(c, op.text)
	}
	value, err := p.next(op.text == "=~" || op.text == "!~")
	if err != nil {
		return err
	}
	if value.kind == tokenEnd || value.kind == tokenSign {
		return fmt.Errorf("found %s, expected a value for %s", value.describe(), name.describe())
	}
	if name.text == "_measurement" || name.text == "_field" {
		at := &c.measurement
		if name.text == "_field" {
			at = &c.field
		}
		if op.text != "=" || *at != "" || value.text == "" {
			return fmt.Errorf("%s is to be compared once, with =", name.text)
		}
		*at = value.text
		return nil
	}
	types := map[string]labels.MatchType{"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "<>": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}
	typ, ok := types[op.text]
	isRegexp := typ == labels.MatchRegexp || typ == labels.MatchNotRegexp
	if !ok || isRegexp != (value.kind == tokenRegexp) {
		return fmt.Errorf("%s %s %s is not supported", name.describe(), op.text, value.describe())
	}
	text := value.text
	if isRegexp {
		text = ".*(?:" + text + ").*" // InfluxDB's match anywhere
	}
	m, err := labels.NewMatcher(typ, name.text, text)
	if err != nil {
		return err
	}
	c.tags = append(c.tags, m)
	return nil
}

// time parses the right side of a comparison with the time.
func (p *conditionParser) time(c *condition, op string) error {
	at, err := p.instant()
	if err != nil {
		return err
	}
	ms := floorMs(at)
	r := model.AllTime
	switch op {
	case "=":
		r = model.Inclusive(ms, ms)
	case ">=":
		r.Min = ms
	case ">":
		r.Min = ms + 1
	case "<=":
		r.Max = ms + 1
	case "<":
		r.Max = ms
	default:
		return fmt.Errorf("time %s is not supported", op)
	}
	c.times, c.hasTime = c.times.Intersect(r), true
	return nil
}

// instant parses a time in nanoseconds: 'RFC 3339', an integer with or without a
// unit, or now() with a duration added or subtracted.
func (p *conditionParser) instant() (int64, error) {
	t, err := p.next(false)
	if err != nil {
		return 0, err
	}
	negative := t == (token{tokenSign, "-"})
	if negative {
		if t, err = p.next(false); err != nil {
			return 0, err
		}
	}
	bad := fmt.Errorf("invalid time %s", t.describe())
	switch {
	case t.kind == tokenString || t.kind == tokenQuoted:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02"} {
			if at, err := time.Parse(layout, t.text); err == nil {
				if at.Before(time.UnixMilli(model.MinTime)) || at.After(time.UnixMilli(model.MaxTime)) {
					return 0, bad
				}
				return at.UnixNano(), nil
			}
		}
		return 0, bad
	case t.isKeyword("now"):
		for _, want := range []string{"(", ")"} {
			if b, err := p.next(false); err != nil || b != (token{tokenSign, want}) {
				return 0, errors.New("found now without brackets, expected now()")
			}
		}
		at := p.now.UnixNano()
		sign, err := p.peek()
		if err != nil || sign.kind != tokenSign || sign.text != "-" && sign.text != "+" {
			return at, err
		}
		_, _ = p.next(false)
		length, err := p.next(false)
		if err != nil {
			return 0, err
		}
		d, err := parseDuration(length.text)
		if err != nil {
			return 0, err
		}
		if sign.text == "-" {
			d = -d
		}
		return model.AddTime(at, int64(d)), nil
	case t.kind != tokenWord:
		return 0, bad
	}
	if n, err := strconv.ParseInt(t.text, 10, 64); err == nil {
		if negative {
			n = -n
		}
		return n, nil
	}
	d, err := parseDuration(t.text)
	if err != nil || d == math.MaxInt64 {
		return 0, bad
	}
	if negative {
		d = -d
	}
	return int64(d), nil
}

// matchers returns the matchers of a condition in a database. A metric's name begins
// with that of its measurement, so those of a measurement are found by their prefix.
func (c *condition) matchers(n *Naming, label, db string) ([]*labels.Matcher, error) {
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, label, db)}
	switch {
	case c.measurement != "" && c.field != "":
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, prommodel.MetricNameLabel, n.metric(c.measurement, c.field)))
	case c.measurement != "":
		pattern := regexp.QuoteMeta(n.metric(c.measurement, "")) + ".+"
		if n.BareValue {
			pattern += "|" + regexp.QuoteMeta(n.metric(c.measurement, "value"))
		}
		m, err := labels.NewMatcher(labels.MatchRegexp, prommodel.MetricNameLabel, pattern)
		if err != nil { // not UTF-8
			return nil, fmt.Errorf("invalid measurement %q: %w", c.measurement, err)
		}
		ms = append(ms, m)
	case c.field != "":
		return nil, errors.New("_field needs _measurement")
	}
	for _, t := range c.tags {
		m, err := labels.NewMatcher(t.Type, n.label(t.Name), t.Value)
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	return ms, nil
}
