package forms

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// cache holds what stands for each series of a target in every message.
type cache struct {
	of       func(labels.Labels) []byte
	byTarget map[int][][]byte
}

func newCache(of func(labels.Labels) []byte) cache {
	return cache{of: of, byTarget: map[int][][]byte{}}
}

func (c *cache) get(r *Row) [][]byte {
	all := c.byTarget[r.Target]
	if all == nil {
		for _, ls := range r.Series {
			all = append(all, c.of(ls))
		}
		c.byTarget[r.Target] = all
	}
	return all
}

// text is the exposition format with timestamps.
type text struct{ cache }

func newText() encoder {
	return &text{newCache(func(ls labels.Labels) []byte {
		name := ls.Get(model.MetricNameLabel)
		rest := labels.NewBuilder(ls).Del(model.MetricNameLabel).Labels().String()
		return []byte(name + strings.ReplaceAll(rest, `", `, `",`) + " ")
	})}
}

func (e *text) row(dst []byte, r *Row) []byte {
	for i, series := range e.get(r) {
		dst = append(dst, series...)
		dst = strconv.AppendFloat(dst, r.Values[i], 'g', -1, 64)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, r.T, 10)
		dst = append(dst, '\n')
	}
	return dst
}

func (e *text) end(dst []byte) []byte { return dst }

// jsonLines are VictoriaMetrics' lines for import and export, with one sample each.
type jsonLines struct{ cache }

func newJSONLines() encoder {
	return &jsonLines{newCache(func(ls labels.Labels) []byte {
		b, err := json.Marshal(ls.Map())
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return []byte(`{"metric":` + string(b) + `,"values":[`)
	})}
}

func (e *jsonLines) row(dst []byte, r *Row) []byte {
	for i, series := range e.get(r) {
		dst = append(dst, series...)
		dst = strconv.AppendFloat(dst, r.Values[i], 'g', -1, 64)
		dst = append(dst, `],"timestamps":[`...)
		dst = strconv.AppendInt(dst, r.T, 10)
		dst = append(dst, "]}\n"...)
	}
	return dst
}

func (e *jsonLines) end(dst []byte) []byte { return dst }
