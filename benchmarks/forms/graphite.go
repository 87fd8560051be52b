package forms

import (
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// graphite is Graphite's plaintext with tags, a sample a line, in whole seconds.
type graphite struct{ cache }

// graphiteEscaper replaces what a path and its tags cannot have.
var graphiteEscaper = strings.NewReplacer(" ", "_", ";", "_")

func newGraphite() encoder {
	return &graphite{newCache(func(ls labels.Labels) []byte {
		path := []byte(graphiteEscaper.Replace(ls.Get(model.MetricNameLabel)))
		ls.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				path = append(path, ";"+l.Name+"="+graphiteEscaper.Replace(l.Value)...)
			}
		})
		return append(path, ' ')
	})}
}

func (e *graphite) row(dst []byte, r *Row) []byte {
	for i, path := range e.get(r) {
		dst = append(dst, path...)
		dst = strconv.AppendFloat(dst, r.Values[i], 'g', -1, 64)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, r.T/1000, 10)
		dst = append(dst, '\n')
	}
	return dst
}

func (e *graphite) end(dst []byte) []byte { return dst }
