package manifest

import (
	"cmp"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// maxCombinedBytes bounds the value of a matcher that Combine makes. A longer list of
// values is divided, so that another deletion changes the last of the parts only.
const maxCombinedBytes = 32 << 10

// Combine returns tombstones that delete what ts do, mostly fewer. Those of one tenant
// and generation are combined that have
//
//   - equal matchers, and ranges that overlap or touch, or
//   - equal ranges, and matchers that differ only in the value which one label equals:
//     the result has a regular expression of the values.
//
// A tombstone that is not combined is returned as it is; the others get IDs of next.
// The order is by ID.
func Combine(ts []Tombstone, next func() uint64) []Tombstone {
	c := combiner{list: make([]combined, len(ts))}
	for i, t := range ts {
		c.list[i] = combined{Tombstone: t}
	}
	c.joinRanges()
	for _, name := range c.names() {
		c.joinValues(name)
	}
	c.joinRanges()
	result := make([]Tombstone, len(c.list))
	for i, t := range c.list {
		if t.changed {
			t.ID = next()
		}
		result[i] = t.Tombstone
	}
	slices.SortFunc(result, func(a, b Tombstone) int { return cmp.Compare(a.ID, b.ID) })
	return result
}

// combined is a tombstone, with its matchers in order if they were compared.
type combined struct {
	Tombstone
	changed bool
}

type combiner struct{ list []combined }

// key returns what two tombstones must have in common: tenant, generation and all
// matchers, but for the value of the label hole, if it is not empty.
func (t *combined) key(dst []byte, hole string) []byte {
	dst = binary.AppendUvarint(dst[:0], uint64(t.Tenant))
	dst = binary.AppendUvarint(dst, t.Gen)
	texts := make([]string, 0, len(t.Matchers))
	for _, m := range t.Matchers {
		if hole != "" && m.Name == hole {
			texts = append(texts, m.Name)
			continue
		}
		texts = append(texts, m.String())
	}
	slices.Sort(texts)
	for _, s := range texts {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// groups calls join for the tombstones of each key, in their order, and collects what
// it returns.
func (c *combiner) groups(key func(t *combined) (string, bool), join func(group []combined) []combined) {
	number := map[string]int{}
	var all [][]combined
	for i := range c.list {
		k, ok := key(&c.list[i])
		if !ok {
			all = append(all, c.list[i:i+1])
			continue
		}
		n, known := number[k]
		if !known {
			n = len(all)
			number[k], all = n, append(all, nil)
		}
		all[n] = append(all[n], c.list[i])
	}
	list := make([]combined, 0, len(all))
	for _, g := range all {
		if len(g) > 1 {
			g = join(g)
		}
		list = append(list, g...)
	}
	c.list = list
}

// joinRanges combines tombstones with equal matchers whose ranges overlap or touch.
func (c *combiner) joinRanges() {
	var buf []byte
	c.groups(func(t *combined) (string, bool) {
		buf = t.key(buf, "")
		return string(buf), true
	}, func(g []combined) (joined []combined) {
		slices.SortStableFunc(g, func(a, b combined) int { return cmp.Compare(a.Range.Min, b.Range.Min) })
		for _, t := range g {
			n := len(joined)
			if n == 0 || joined[n-1].Range.Max < t.Range.Min {
				joined = append(joined, t)
				continue
			}
			last := &joined[n-1]
			last.Range.Max, last.changed = max(last.Range.Max, t.Range.Max), true
		}
		return joined
	})
}

// names returns the labels that tombstones name in a list of values, sorted.
func (c *combiner) names() []string {
	var names []string
	for i := range c.list {
		for _, m := range c.list[i].Matchers {
			if m.Type == labels.MatchEqual && m.Value != "" {
				names = append(names, m.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// joinValues combines tombstones with equal ranges that differ in the values of one
// label.
func (c *combiner) joinValues(name string) {
	var buf []byte
	c.groups(func(t *combined) (string, bool) {
		if _, ok := t.values(name); !ok {
			return "", false
		}
		buf = t.key(buf, name)
		buf = binary.AppendVarint(buf, t.Range.Min)
		buf = binary.AppendVarint(buf, t.Range.Max)
		return string(buf), true
	}, func(g []combined) (joined []combined) {
		var values []string
		bytes := 0
		members := 0
		flush := func(t combined) {
			if members > 1 {
				t.setValues(name, values)
			}
			joined = append(joined, t)
			values, bytes, members = nil, 0, 0
		}
		for i := range g {
			more, _ := g[i].values(name)
			size := 0
			for _, v := range more {
				size += len(regexp.QuoteMeta(v)) + 1
			}
			if members > 0 && bytes+size > maxCombinedBytes {
				flush(g[i-1])
			}
			values, bytes, members = append(values, more...), bytes+size, members+1
		}
		flush(g[len(g)-1])
		return joined
	})
}

// values returns the values that the only matcher of a label lists; it is = or what
// setValues made.
func (t *combined) values(name string) ([]string, bool) {
	var only *labels.Matcher
	for _, m := range t.Matchers {
		if m.Name == name {
			if only != nil {
				return nil, false
			}
			only = m
		}
	}
	switch {
	case only == nil || only.Value == "":
		return nil, false
	case only.Type == labels.MatchEqual:
		return []string{only.Value}, true
	case only.Type == labels.MatchRegexp:
		return alternatives(only.Value)
	}
	return nil, false
}

// setValues replaces the matcher of a label with one that lists values.
func (t *combined) setValues(name string, values []string) {
	slices.Sort(values)
	values = slices.Compact(values)
	m := labels.MustNewMatcher(labels.MatchEqual, name, values[0])
	if len(values) > 1 {
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = regexp.QuoteMeta(v)
		}
		m = labels.MustNewMatcher(labels.MatchRegexp, name, strings.Join(quoted, "|"))
	}
	t.Matchers = slices.Clone(t.Matchers)
	for i := range t.Matchers {
		if t.Matchers[i].Name == name {
			t.Matchers[i] = m
		}
	}
	t.changed = true
}

// alternatives returns the strings that an expression lists, a|b|c, if it is nothing
// more than that.
func alternatives(expr string) (values []string, ok bool) {
	var value strings.Builder
	for i := 0; i < len(expr); i++ {
		switch b := expr[i]; b {
		case '|':
			if value.Len() == 0 {
				return nil, false
			}
			values = append(values, value.String())
			value.Reset()
		case '\\':
			if i++; i == len(expr) || regexp.QuoteMeta(expr[i:i+1]) == expr[i:i+1] {
				return nil, false // a class or an escape, not a quoted character
			}
			value.WriteByte(expr[i])
		default:
			if b < 0x80 && regexp.QuoteMeta(string(b)) != string(b) {
				return nil, false
			}
			value.WriteByte(b)
		}
	}
	return append(values, value.String()), value.Len() > 0
}

// Bytes returns about how many bytes the tombstone takes in a record.
func (t *Tombstone) Bytes() int64 {
	n := int64(4 * binary.MaxVarintLen64)
	for _, m := range t.Matchers {
		n += int64(len(m.Name) + len(m.Value) + 3)
	}
	return n
}
