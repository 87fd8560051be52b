package query

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// maxCountedNames bounds the metrics that are counted for a selector without a name.
	maxCountedNames = 10_000
	// maxKnownNames bounds the names of all selectors that knownNames remembers.
	maxKnownNames = 50_000
	// knownNamesFor is how long they are remembered: a look-up costs as much as selecting
	// the series, and a dashboard asks for the same ones again and again.
	knownNamesFor = 10 * time.Minute
)

// knownNames remembers the metrics that selectors without a name have matched lately. It
// is safe for concurrent use.
type knownNames struct {
	mu    sync.Mutex
	of    map[string]matchedNames // by the matchers and the days that are read
	names int                     // and selectors
}

type matchedNames struct {
	names []string
	at    time.Time
}

func (k *knownNames) get(selector string, now time.Time) ([]string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, ok := k.of[selector]
	return m.names, ok && now.Sub(m.at) < knownNamesFor
}

func (k *knownNames) set(selector string, names []string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of == nil || k.names+len(names) >= maxKnownNames {
		k.of, k.names = map[string]matchedNames{}, 0
	}
	k.of[selector] = matchedNames{names, now}
	k.names += len(names) + 1
}

// countNames counts the metrics that the selectors of the query ask for. A selector that
// names none, by a value or a list of values, is looked up in the index.
func (p *Query) countNames(ctx context.Context) {
	parser.Inspect(p.stmt.Expr, func(n parser.Node, path []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, m := range s.LabelMatchers {
			if m.Name == prommodel.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != "" {
				p.engine.countName(m.Value)
				return nil
			}
		}
		p.countMatching(ctx, s, path)
		return nil
	})
}

// countMatching counts the metrics that a selector matches in the times that it reads, or
// that it matched some minutes ago. An error costs the counts.
func (p *Query) countMatching(ctx context.Context, s *parser.VectorSelector, path []parser.Node) {
	window := p.stmt.LookbackDelta
	start, end := p.stmt.Start, p.stmt.End
	if s.Timestamp != nil {
		start = time.UnixMilli(*s.Timestamp)
		end = start
	}
	start, end = start.Add(-s.OriginalOffset), end.Add(-s.OriginalOffset)
	for _, n := range path {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			window = n.Range
		case *parser.SubqueryExpr:
			start = start.Add(-n.Range - n.OriginalOffset)
		}
	}
	var selector strings.Builder
	for _, m := range s.LabelMatchers {
		selector.WriteString(m.String())
		selector.WriteByte(0)
	}
	const day = 24 * 60 * 60
	fmt.Fprint(&selector, start.Add(-window).Unix()/day, end.Unix()/day)
	now := time.Now()
	if names, ok := p.engine.knownNames.get(selector.String(), now); ok {
		for _, name := range names {
			p.engine.countName(name)
		}
		return
	}
	q, err := p.reads.Open(start.Add(-window).UnixMilli(), end.UnixMilli())
	if err != nil || q == nil {
		return
	}
	defer q.Close()
	names, _, err := q.LabelValues(ctx, prommodel.MetricNameLabel, nil, s.LabelMatchers...)
	if err != nil {
		return
	}
	names = slices.Clone(names[:min(len(names), maxCountedNames)])
	for i, name := range names {
		names[i] = strings.Clone(name)
		p.engine.countName(name)
	}
	p.engine.knownNames.set(selector.String(), names, now)
}
