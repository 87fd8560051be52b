package operators

import (
	"strconv"

	commonmodel "github.com/prometheus/common/model"

	"tsdb/query/admission"
)

// countCheckInterval is the number of values counted between context checks.
const countCheckInterval = 1024

// countValuesNode is count_values.
type countValuesNode struct {
	aggregateNode
	label string
}

func (n *countValuesNode) table(f *Evaluation) (*table, error) {
	if !commonmodel.UTF8Validation.IsValidLabelName(n.label) {
		return nil, evalErrorf("invalid label name %s", n.expr.Param)
	}
	src, err := f.open(n.child)
	if err != nil {
		return nil, err
	}
	defer src.close()
	var cols []column
	groups := newGrouping(n.by, f.mem)
	defer groups.Close()
	held, size := 0, int64(columnBytes+valueBytes*n.N)
	defer func() { f.release(held) }()
	err = f.each(src, func(_ int, c *column) error {
		for i, v := range c.v {
			if i%countCheckInterval == countCheckInterval-1 {
				if err := f.Check(); err != nil {
					return err
				}
			}
			if !c.has(i) {
				continue
			}
			text := ""
			if h := c.histogramAt(i); h != nil {
				text = h.String()
			} else {
				text = strconv.FormatFloat(v, 'f', -1, 64)
			}
			if len(text) > f.MaxLabelValue {
				return admission.NewLabelValueError(n.label, len(text), f.MaxLabelValue)
			}
			groups.b.Reset(c.metric)
			ls := groups.b.Set(n.label, text).Labels()
			k, fresh, err := groups.number(ls)
			if err != nil {
				return err
			}
			if fresh {
				if err := f.mem.Reserve(size); err != nil {
					return err
				}
				col := column{metric: n.by.labels(groups.b, ls)}
				col.reset(n.N)
				cols = append(cols, col)
				if err := f.checkSparse(len(cols)*n.N, held); err != nil {
					return err
				}
			}
			if isAbsent(cols[k].v[i]) {
				cols[k].v[i] = 0
				held++
				if err := f.hold(1); err != nil {
					return err
				}
			}
			cols[k].v[i]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	t := &table{}
	f.mem.Release(int64(len(cols)) * size) // keep charges them again
	for _, c := range cols {
		if err := f.keep(t, c); err != nil {
			return nil, err
		}
	}
	return t, nil
}
