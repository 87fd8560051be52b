package transfer

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/storage"
)

// Bounds are the times of samples that a target takes, both inclusive, in Unix
// milliseconds.
type Bounds struct {
	Oldest  int64  `json:"oldest"` // of every series
	Newest  int64  `json:"newest"`
	Setting string `json:"setting"` // that bounds Oldest
	// Lists are the limits by series, where retention rules differ: in a list the first one
	// that matches a series counts, and of the lists the newest limit. Empty = Oldest is the
	// limit of all series.
	Lists [][]Limit `json:"lists,omitempty"`

	compiled [][]compiledLimit // of Lists; nil = not compiled yet
}

// Limit is the oldest time of samples that are taken of the series that a rule matches.
type Limit struct {
	Selectors [][]Matcher `json:"selectors,omitempty"` // a series matches if it satisfies all of one; none = every series
	Oldest    int64       `json:"oldest"`
	Rule      string      `json:"rule,omitempty"` // "" = that of all other series
}

// Matcher is a matcher of a selector.
type Matcher struct {
	Type  string `json:"type"` // =, !=, =~ or !~
	Name  string `json:"name"`
	Value string `json:"value"`
}

type compiledLimit struct {
	*Limit
	selectors [][]*match.Matcher
}

// rawSetting is the setting that bounds the times of series of no rule.
const rawSetting = "--retention.raw"

// newBounds returns the bounds of a database; setting bounds oldest.
func newBounds(oldest, newest int64, limits [][]storage.RawLimit, setting string) Bounds {
	b := Bounds{Oldest: oldest, Newest: newest, Setting: setting}
	if len(limits) == 1 && len(limits[0]) == 1 {
		return b
	}
	if setting == rawSetting {
		b.Setting = "the retention rules"
	}
	for _, list := range limits {
		var out []Limit
		for _, l := range list {
			x := Limit{Oldest: l.Oldest, Rule: l.Rule}
			for _, ms := range l.Selectors {
				var selector []Matcher
				for _, m := range ms {
					selector = append(selector, Matcher{m.Type.String(), m.Name, m.Value})
				}
				x.Selectors = append(x.Selectors, selector)
			}
			out = append(out, x)
		}
		b.Lists = append(b.Lists, out)
	}
	return b
}

// BoundsFor returns those of a database that does not exist yet.
func BoundsFor(r storage.Retention, now int64) (Bounds, error) {
	limits, oldest, err := storage.LimitsOf(r, now)
	if err != nil {
		return Bounds{}, err
	}
	return newBounds(oldest, model.MaxTime, limits, rawSetting), nil
}

var matchTypes = map[string]labels.MatchType{"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}

// compile prepares limitOf. It fails for matchers that no server sends.
func (b *Bounds) compile() error {
	b.compiled = make([][]compiledLimit, len(b.Lists))
	for i, list := range b.Lists {
		for j := range list {
			c := compiledLimit{Limit: &list[j]}
			for _, selector := range list[j].Selectors {
				var ms []*labels.Matcher
				for _, x := range selector {
					t, ok := matchTypes[x.Type]
					if !ok {
						return fmt.Errorf("limits of the target: unknown type %q of a matcher", clip(x.Type))
					}
					m, err := labels.NewMatcher(t, x.Name, x.Value)
					if err != nil {
						return fmt.Errorf("limits of the target: %w", err)
					}
					ms = append(ms, m)
				}
				compiled, err := match.Compiled(ms)
				if err != nil {
					return fmt.Errorf("limits of the target: %w", err)
				}
				c.selectors = append(c.selectors, compiled)
			}
			b.compiled[i] = append(b.compiled[i], c)
		}
	}
	return nil
}

// limitOf returns the oldest time that is taken of a series, and the rule that says so.
func (b *Bounds) limitOf(ls labels.Labels) (oldest int64, rule string) {
	if len(b.compiled) == 0 {
		return b.Oldest, ""
	}
	oldest = model.MinTime
	for _, list := range b.compiled {
		for _, l := range list {
			if l.matches(ls) {
				if l.Oldest > oldest {
					oldest, rule = l.Oldest, l.Rule
				}
				break
			}
		}
	}
	return oldest, rule
}

func (l *compiledLimit) matches(ls labels.Labels) bool {
	for _, ms := range l.selectors {
		if match.All(ms, ls) {
			return true
		}
	}
	return len(l.selectors) == 0
}
