package operators

import (
	"errors"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// joinNode is a binary operator of two vectors that pairs their series.
type joinNode struct {
	steps.Grid
	l, r Node
	expr *parser.BinaryExpr
	vm   parser.VectorMatching
}

// join is the evaluation of a joinNode. A series of the one side can have several
// partners on the many side.
type join struct {
	*joinNode
	operator
	f         *Evaluation
	many, one *table
	swapped   bool // the many side is on the right
	fillMany  *float64
	fillOne   *float64
	b         *labels.Builder
	out       []column
	bytes     int64             // of out
	held      admission.Scratch // for groups and masks
	byHash    map[uint64]int
	separate  bool    // keep results with equal labels apart: they are not an error yet
	errs      []error // the last error of the operator at each step; nil if there is none
}

// noteError records an error of the operator at a step. As in Prometheus, only the
// last one of each step is added to the answer.
func (j *join) noteError(s int, err error) {
	if j.errs == nil {
		j.errs = make([]error, j.N)
	}
	j.errs[s] = err
}

func (n *joinNode) table(f *Evaluation) (*table, error) {
	l, r, err := f.operands(n.l, n.r)
	if err != nil {
		return nil, err
	}
	j := &join{
		joinNode: n, operator: operatorOf(n.expr), f: f, many: l, one: r,
		fillMany: n.vm.FillValues.LHS, fillOne: n.vm.FillValues.RHS,
		b: labels.NewBuilder(labels.EmptyLabels()), byHash: make(map[uint64]int),
		separate: f.DelayedNames && n.Instant, held: admission.NewScratch(f.mem),
	}
	defer j.held.Close()
	if n.vm.Card == parser.CardOneToMany {
		j.many, j.one, j.swapped = r, l, true
	}
	manyGroups, oneGroups, err := match(&j.held, &n.vm, j.many, j.one)
	if err != nil {
		return nil, err
	}
	if err := j.checkOne(oneGroups); err != nil {
		return nil, err
	}
	for i, g := range manyGroups {
		if err := f.Check(); err != nil {
			return nil, err
		}
		if err := j.pairWith(i, g); err != nil {
			return nil, err
		}
	}
	if j.fillMany != nil {
		for i, g := range oneGroups {
			if err := j.fill(&j.one.cols[i], g); err != nil {
				return nil, err
			}
		}
	}
	for _, err := range j.errs {
		if err != nil {
			f.annotateOperator(&j.operator, err)
		}
	}
	f.drop(l)
	f.drop(r)
	f.mem.Release(j.bytes) // keep charges them again
	out := &table{}
	for _, c := range j.out {
		if err := f.keep(out, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkOne returns an error if two series of the one side have the same matching
// labels at a step at which the many side has a match.
func (j *join) checkOne(groups []*matchGroup) error {
	var manyAny []bool
	if err := j.held.Reserve(entryBytes * int64(len(groups))); err != nil {
		return err
	}
	seen := make(map[*matchGroup]bool)
	for _, g := range groups {
		if len(g.right) < 2 || seen[g] {
			continue
		}
		seen[g] = true
		if manyAny == nil {
			if err := j.held.Reserve(valueBytes * int64(len(j.many.cols))); err != nil {
				return err
			}
			all := make([]int, len(j.many.cols))
			for i := range all {
				all[i] = i
			}
			var err error
			if manyAny, err = anyAt(&j.held, j.many, all, j.N); err != nil {
				return err
			}
		}
		for i := range j.N {
			if !manyAny[i] && j.fillMany == nil && j.fillOne == nil {
				continue
			}
			first := -1
			for _, k := range g.right {
				switch {
				case !j.one.cols[k].has(i):
				case first < 0:
					first = k
				default:
					side := "right"
					if j.swapped {
						side = "left"
					}
					a, b := j.one.cols[k].metric, j.one.cols[first].metric
					return evalErrorf("found duplicate series for the match group %s on the %s hand-side of the operation: [%s, %s];many-to-many matching not allowed: matching labels must be unique on one side",
						a.MatchLabels(j.vm.On, j.vm.MatchingLabels...), side, a, b)
				}
			}
		}
	}
	return nil
}

// pairWith pairs a series of the many side with its partners.
func (j *join) pairWith(i int, g *matchGroup) error {
	c := &j.many.cols[i]
	for _, k := range g.right {
		o := &j.one.cols[k]
		err := j.pair(g, c.metric, o.metric, func(s int) (a, b number, ok bool) {
			if !c.has(s) || !o.has(s) {
				return a, b, false
			}
			return number{c.v[s], c.histogramAt(s)}, number{o.v[s], o.histogramAt(s)}, true
		})
		if err != nil {
			return err
		}
	}
	if j.fillOne == nil {
		return nil
	}
	if g.rightAny == nil {
		var err error
		if g.rightAny, err = anyAt(&j.held, j.one, g.right, j.N); err != nil {
			return err
		}
	}
	return j.pair(g, c.metric, c.metric.MatchLabels(j.vm.On, j.vm.MatchingLabels...), func(s int) (a, b number, ok bool) {
		if !c.has(s) || g.rightAny[s] {
			return a, b, false
		}
		return number{c.v[s], c.histogramAt(s)}, number{v: *j.fillOne}, true
	})
}

// fill pairs a series of the one side with the fill value at steps without a match.
func (j *join) fill(o *column, g *matchGroup) error {
	taken := slices.Clone(g.matched)
	return j.pair(g, o.metric.MatchLabels(j.vm.On, j.vm.MatchingLabels...), o.metric, func(s int) (a, b number, ok bool) {
		if !o.has(s) || taken != nil && taken[s] {
			return a, b, false
		}
		return number{v: *j.fillMany}, number{o.v[s], o.histogramAt(s)}, true
	})
}

// pair pairs a series of the many side with one of the one side. at returns their
// values at a step; ok is false unless both have one.
func (j *join) pair(g *matchGroup, many, one labels.Labels, at func(s int) (a, b number, ok bool)) error {
	var c column
	var metric labels.Labels
	var inserted []bool
	for s := range j.N {
		a, b, ok := at(s)
		if !ok {
			continue
		}
		if j.swapped {
			a, b = b, a
		}
		var r number
		var keep bool
		if a.h == nil && b.h == nil && (j.fn != nil || j.holds != nil) {
			r.v, keep = j.floats(a.v, b.v)
		} else {
			var err error
			r, keep, err = j.mixed(a, b)
			if err != nil {
				j.noteError(s, err)
				if _, counts := err.(reconciledInfo); !counts {
					continue
				}
			}
			if j.returnBool {
				r, keep = number{v: asNumber(keep)}, true
			}
		}
		if c.v == nil {
			metric = j.resultLabels(many, one)
			c.metric, c.drop = metric, j.returnBool
			c.reset(j.N)
			if g.matched == nil {
				if err := j.held.Reserve(int64(j.N)); err != nil {
					return err
				}
				g.matched = make([]bool, j.N)
			}
			if j.vm.Card != parser.CardOneToOne {
				hash := labelsHash(metric.Hash())
				if g.byResult == nil {
					g.byResult = make(map[labelsHash][]bool)
				}
				if inserted = g.byResult[hash]; inserted == nil {
					if err := j.held.Reserve(entryBytes + int64(j.N)); err != nil {
						return err
					}
					inserted = make([]bool, j.N)
					g.byResult[hash] = inserted
				}
			}
		}
		switch {
		case inserted == nil && g.matched[s]:
			return errors.New("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
		case inserted != nil && inserted[s]:
			return errors.New("multiple matches for labels: grouping labels must ensure unique matches")
		case inserted != nil:
			inserted[s] = true
		}
		g.matched[s] = true
		switch {
		case !keep:
		case r.h != nil:
			c.setHistogram(s, r.h)
		default:
			c.v[s] = r.v
		}
	}
	if c.v == nil || c.empty() {
		return nil
	}
	return j.add(c)
}

// add adds a result and joins it with one of equal labels.
func (j *join) add(c column) error {
	hash := c.metric.Hash()
	if k, ok := j.byHash[hash]; ok && !j.separate {
		return j.out[k].join(&c)
	}
	bytes := c.bytes()
	if err := j.f.mem.Reserve(bytes); err != nil {
		return err
	}
	if err := j.held.Reserve(entryBytes); err != nil {
		return err
	}
	j.bytes += bytes
	j.byHash[hash] = len(j.out)
	j.out = append(j.out, c)
	return nil
}

// resultLabels returns the labels of the result of a pair.
func (j *join) resultLabels(many, one labels.Labels) labels.Labels {
	j.b.Reset(many)
	if !j.f.DelayedNames && j.returnBool || changesSchema(j.op) {
		j.b.Del(nameLabel, typeLabel, unitLabel)
	}
	if j.vm.Card == parser.CardOneToOne {
		if j.vm.On {
			j.b.Keep(j.vm.MatchingLabels...)
		} else {
			j.b.Del(j.vm.MatchingLabels...)
		}
	}
	for _, name := range j.vm.Include {
		j.b.Set(name, one.Get(name)) // an empty value deletes the label
	}
	return j.b.Labels()
}
